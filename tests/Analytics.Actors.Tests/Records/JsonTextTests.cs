using System.Globalization;
using System.Text;
using Analytics.Actors.Core.Records;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Records;

public class JsonTextTests
{
    [Theory]
    [InlineData("10", true)]
    [InlineData("10.0", true)]
    [InlineData("0.1", true)]
    [InlineData("0", true)]
    [InlineData("-0", true)]
    [InlineData("-0.000", true)]
    [InlineData("1e2", true)]
    [InlineData("1E-7", true)]
    [InlineData("123456789012345", true)]
    [InlineData("0.1234567890123456", true)]
    [InlineData("9007199254740993", false)]
    [InlineData("9007199254740992", true)]
    [InlineData("1234567890123456789", false)]
    [InlineData("100000000000000000000", false)]
    [InlineData("1e20", true)]
    [InlineData("0.10000000000000000555", false)]
    [InlineData("1.7976931348623157e308", true)]
    [InlineData("1e400", false)]
    [InlineData("1e-400", false)]
    [InlineData("0e999999999999999999999999", true)]
    [InlineData("1e999999999999999999999999", false)]
    public void A_number_is_exact_where_the_double_written_back_says_the_same(string text, bool expected)
    {
        JsonText.ReadNumber(Encoding.UTF8.GetBytes(text), out var exact);
        exact.ShouldBe(expected);
    }

    [Fact]
    public void Whatever_counts_as_exact_comes_back_with_its_value()
    {
        var number = from whole in ArbMap.Default.GeneratorFor<long>()
                     from fraction in Gen.Choose(0, 999_999_999)
                     from digits in Gen.Choose(0, 9)
                     select digits == 0 ? whole.ToString(CultureInfo.InvariantCulture) : $"{whole}.{fraction.ToString(CultureInfo.InvariantCulture).PadLeft(9, '0')[..digits]}";
        Prop.ForAll(number.ToArbitrary(), text =>
        {
            var value = JsonText.ReadNumber(Encoding.UTF8.GetBytes(text), out var exact);
            Span<byte> buffer = stackalloc byte[32];
            var written = Encoding.UTF8.GetString(buffer[..JsonText.FormatNumber(value, buffer)]);
            var same = decimal.Parse(text, CultureInfo.InvariantCulture) == decimal.Parse(written, NumberStyles.Float, CultureInfo.InvariantCulture);
            return exact ? same : !same || written.Contains('E');
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }
}
