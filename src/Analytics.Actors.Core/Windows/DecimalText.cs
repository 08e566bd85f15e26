using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Writes integers of a column as the decimals that they stand for, without a double in between: each text is that of
/// <see cref="JsonText.FormatNumber"/> for the same number.
/// </summary>
internal readonly struct DecimalText
{
    /// <summary>Bytes that the destination must have for each number. A text is shorter; what lies behind it is written over.</summary>
    public const int Room = 32;

    /// <summary>So many numbers are written at once.</summary>
    public const int NumbersMax = 32;

    private const uint EightDigits = 100_000_000;

    private readonly int decimals;

    // From five zeros behind the point on, numbers may be written with an exponent; with more than seven decimals a number of
    // eight digits has none before the point. These are left to doubles.
    private readonly uint smallest;

    public DecimalText(int decimals)
    {
        this.decimals = decimals;
        smallest = decimals > 7 ? EightDigits : decimals > 4 ? (uint)GridNumber.PowerOf(decimals - 4) : 0;
    }

    /// <summary>Writes each integer / 10^decimals with a comma behind it, and returns how many bytes that are.</summary>
    /// <param name="holes">Written in the place of <paramref name="hole"/>, one for each integer; empty: null is. A NaN is null too.</param>
    [SkipLocalsInit]
    public int Write(ReadOnlySpan<int> integers, int hole, ReadOnlySpan<double> holes, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, integers.Length * Room);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(integers.Length, NumbersMax);
        Span<ulong> digits = stackalloc ulong[NumbersMax];
        Digits(integers, digits);
        ref var start = ref MemoryMarshal.GetReference(destination);
        var at = 0;
        for (var i = 0; i < integers.Length; i++)
        {
            var integer = integers[i];
            if ((uint)integer - smallest < EightDigits - smallest) at += WriteDigits(digits[i], ref Unsafe.Add(ref start, at));
            else if (integer == hole) at += WriteDouble(holes.IsEmpty ? double.NaN : holes[i], destination[at..]);
            else at += WriteOther(integer, destination[at..]);
            Unsafe.Add(ref start, at++) = (byte)',';
        }

        return at;
    }

    /// <summary>Zeros in front are left out, but for the one before the point; so are zeros at the end behind it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int WriteDigits(ulong digits, ref byte start)
    {
        var point = 8 - decimals;
        var first = Math.Min(BitOperations.TrailingZeroCount(digits) >> 3, point - 1);
        var zeros = BitOperations.LeadingZeroCount(digits) >> 3;
        digits |= 0x3030_3030_3030_3030;
        Unsafe.WriteUnaligned(ref start, digits >> (first << 3));
        if (zeros >= decimals) return point - first;
        Unsafe.Add(ref start, point - first) = (byte)'.';
        Unsafe.WriteUnaligned(ref Unsafe.Add(ref start, point - first + 1), digits >> (point << 3));
        return 9 - first - zeros;
    }

    private int WriteOther(int integer, Span<byte> destination)
    {
        var size = (uint)Math.Abs((long)integer);
        if (size - smallest >= EightDigits - smallest) return WriteDouble(integer / GridNumber.PowerOf(decimals), destination);
        destination[0] = (byte)'-';
        return 1 + WriteDigits(Digits(Vector256.Create((ulong)size)).ToScalar(), ref destination[1]);
    }

    private static int WriteDouble(double value, Span<byte> destination)
    {
        if (!double.IsNaN(value)) return JsonText.FormatNumber(value, destination);
        JsonText.Null.CopyTo(destination);
        return JsonText.Null.Length;
    }

    private static void Digits(ReadOnlySpan<int> integers, Span<ulong> digits)
    {
        var done = 0;
        for (; done <= integers.Length - Vector256<int>.Count; done += Vector256<int>.Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Create(integers.Slice(done, Vector256<int>.Count)).AsUInt32());
            Digits(low).CopyTo(digits[done..]);
            Digits(high).CopyTo(digits[(done + Vector256<ulong>.Count)..]);
        }

        for (; done < integers.Length; done++) digits[done] = Digits(Vector256.Create((ulong)(uint)integers[done])).ToScalar();
    }

    /// <summary>
    /// The digits of numbers below 10^8, the first in the lowest byte. All are worked out at once: in halves, quarters, eighths.
    /// Of larger numbers it is nothing that makes sense.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Digits(Vector256<ulong> values)
    {
        // x * 3518437209 >> 45 is x / 10,000 for 32 bits.
        var thousands = (values * 3_518_437_209) >>> 45;
        var fours = thousands | ((values - (thousands * 10_000)) << 32);
        var hundreds = ((fours * 10_486) >>> 20) & Vector256.Create(0x0000_007F_0000_007FUL);
        var twos = hundreds | ((fours - (hundreds * 100)) << 16);
        var tens = ((twos * 103) >>> 10) & Vector256.Create(0x000F_000F_000F_000FUL);
        return tens | ((twos - (tens * 10)) << 8);
    }
}
