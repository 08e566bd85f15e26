using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Windows;

public class JsonListTests
{
    [Theory]
    [InlineData("[]", 0)]
    [InlineData("[ \t\r\n]", 0)]
    [InlineData("[1]", 1)]
    [InlineData("[ 1 , 2 ]", 2)]
    [InlineData("[[],{}]", 2)]
    [InlineData("[[1,2],{\"a\":[3,4],\"b\":5}]", 2)]
    [InlineData("[\"a,b\",\"]\",\"\\\",\",\"\\\\\"]", 4)]
    [InlineData("[null,true,-1.5e3]", 3)]
    public void Elements_are_counted(string list, int count) => JsonList.Count(Encoding.UTF8.GetBytes(list)).ShouldBe(count);

    [Fact]
    public void Counting_agrees_with_reading()
    {
        var value = Gen.Elements("1", "-0.5", "\"\"", "\",\"", "\"\\\"\"", "\"\\\\\"", "\"[{\"", "null", "[]", "[1,[2]]", "{}", "{\"a\":[1,2],\"]\":{}}");
        // Most lists have neither escapes nor what is a list itself.
        var plain = Gen.Elements("1", "-0.5", "\"\"", "\",\"", "\"]\"", "\"a text, and a long one\"", "null", "true", "\"é\"");
        Agrees(value);
        Agrees(plain);
    }

    private static void Agrees(Gen<string> value)
    {
        var space = Gen.Elements("", " ", "\n\t");
        var element = from before in space from json in value from after in space select before + json + after;
        Prop.ForAll(element.ArrayOf().ToArbitrary(), elements =>
        {
            var list = Encoding.UTF8.GetBytes($"[{string.Join(',', elements)}]");
            using var read = JsonDocument.Parse(list);
            JsonList.Count(list).ShouldBe(read.RootElement.GetArrayLength());
            JsonList.Elements(list).Select(slice => Encoding.UTF8.GetString(slice.Of(list))).ShouldBe(elements.Select(text => text.Trim()));
        }).QuickCheckThrowOnFailure();
    }
}
