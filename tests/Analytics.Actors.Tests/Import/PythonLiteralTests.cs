using Analytics.Actors.Node.Import;

namespace Analytics.Actors.Tests.Import;

/// <summary>The literals of a Python module, and everything else told with its line.</summary>
public class PythonLiteralTests
{
    [Theory]
    [InlineData("A = 7 * 24", "168")]
    [InlineData("A = -1_000 + 2", "-998")]
    [InlineData("A = 1.5e3", "1500")]
    [InlineData("A: int = 3  # three", "3")]
    [InlineData("A = (1, 'x',)", """[1,"x"]""")]
    [InlineData("A = (1)", "1")]
    [InlineData("A = ('one'\n     ' and two')", "\"one and two\"")]
    [InlineData("A = 'it\\'s \\u7ad9\\t#' # no comment inside", "\"it's \\u7AD9\\t#\"")]
    [InlineData("A = r'\\d'", "\"\\\\d\"")]
    [InlineData("A = {'x': True, 'y': None, \"z\": [False, ],}", """{"x":true,"y":null,"z":[false]}""")]
    [InlineData("A = '''two\nlines'''", "\"two\\nlines\"")]
    [InlineData("B = 2\nA = B * 3", "6")]
    public void A_literal_is_read(string source, string expected)
    {
        var (values, others) = PythonLiteral.Read(source);
        others.ShouldBeEmpty();
        values["A"]!.ToJsonString().Replace("\\u0027", "'", StringComparison.Ordinal).ShouldBe(expected);
    }

    [Theory]
    [InlineData("import os\nA = 1", 1)]
    [InlineData("A = 1\nB = {\n  'x': os.getenv('X'),\n}", 3)]
    [InlineData("A = 1\n\ndef f(x):\n    A = 2\n    return x", 3)]
    [InlineData("A = 1\nB = [1, 2", 2)]
    [InlineData("A = 1\nB = f'{A}'", 2)]
    [InlineData("A = 1\nB = 'no end", 2)]
    [InlineData("A = 1\nA['x'] = 2", 2)]
    [InlineData("A = 1\nB = '\\u12'", 2)]
    [InlineData("A = 1\nif True:\n  A = 2", 2)]
    public void What_is_no_literal_is_told_with_its_line_and_nothing_is_executed(string source, int line)
    {
        var (values, others) = PythonLiteral.Read(source);
        values["A"]!.GetValue<long>().ShouldBe(1);
        others.ShouldHaveSingleItem().Line.ShouldBe(line);
    }

    [Fact]
    public void A_remark_and_a_docstring_are_nothing()
    {
        var (values, others) = PythonLiteral.Read("# -*- coding: utf-8 -*-\n\"\"\"What\nit is.\"\"\"\n\nA = 1\n");
        values.Count.ShouldBe(1);
        others.ShouldBeEmpty();
    }
}
