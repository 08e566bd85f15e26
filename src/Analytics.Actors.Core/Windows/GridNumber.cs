using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// A number on its way to a grid. Decimals of up to 15 digits come as an integer and how many of its digits stand behind the
/// point: integer / 10^decimals is the double next to them, as parsing gives it. Others, and holes (NaN), come as doubles.
/// </summary>
internal readonly struct GridNumber
{
    private const sbyte IsDouble = -1;

    // Integers below 2^53 and these powers are doubles, so that one division rounds once, and right.
    private static readonly double[] Powers = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

    public const int DecimalsMax = 15;

    private readonly long bits;

    public GridNumber(long integer, int decimals)
    {
        bits = integer;
        Decimals = (sbyte)decimals;
    }

    public GridNumber(double value)
    {
        bits = BitConverter.DoubleToInt64Bits(value);
        Decimals = IsDouble;
    }

    /// <summary>Below 0 for a double.</summary>
    public sbyte Decimals { get; }

    /// <summary>Of a number with <see cref="Decimals"/>.</summary>
    public long Integer => bits;

    public double Value => Decimals < 0 ? BitConverter.Int64BitsToDouble(bits) : bits / Powers[Decimals];

    public bool IsHole => Decimals < 0 && double.IsNaN(BitConverter.Int64BitsToDouble(bits));

    public static double PowerOf(int decimals) => Powers[decimals];

    /// <summary>
    /// Reads a JSON number without an exponent, of up to 15 digits and no negative zero: those that a double keeps apart from
    /// every other. Returns the place behind it, or -1 where the number must be read in another way or is none.
    /// </summary>
    public static int TryRead(ReadOnlySpan<byte> json, int at, out GridNumber number)
    {
        var start = at;
        var isNegative = PlainJson.At(json, at) == '-';
        if (isNegative) at++;
        var first = at;
        long integer = 0;
        for (; (uint)at < (uint)json.Length && json[at] - (uint)'0' <= 9; at++) integer = integer * 10 + (json[at] - '0');
        var digits = at - first;
        number = default;
        if (digits == 0 || (digits > 1 && json[first] == '0')) return PlainJson.Failed;
        var decimals = 0;
        if (PlainJson.At(json, at) == '.')
        {
            first = ++at;
            for (; (uint)at < (uint)json.Length && json[at] - (uint)'0' <= 9; at++) integer = integer * 10 + (json[at] - '0');
            decimals = at - first;
            if (decimals == 0) return PlainJson.Failed;
        }

        // As many bytes as JsonText.ReadNumber knows to be exact; what has more may have run over, and is not looked at.
        if (at - start > 15 || (isNegative && integer == 0) || PlainJson.At(json, at) is (byte)'e' or (byte)'E') return PlainJson.Failed;
        number = new GridNumber(isNegative ? -integer : integer, decimals);
        return at;
    }
}
