using System.Buffers;
using System.Runtime.Intrinsics;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Numbers of one series: row after row, <see cref="Width"/> values each; NaN is a hole. Never changed once it is in use.
/// Where all of them are decimals of few digits they are held as integers of 4 bytes with one number of decimals, from which
/// the same doubles come again, bit by bit.
/// </summary>
internal sealed class GridColumn
{
    private const int Hole = int.MinValue;

    private readonly int[]? integers;
    private readonly double[]? doubles;
    private readonly byte decimals;
    private readonly bool hasHole;

    private GridColumn(int[]? integers, int decimals, double[]? doubles, int width, Dictionary<int, byte[]>? exact)
    {
        this.integers = integers;
        this.decimals = (byte)decimals;
        hasHole = integers is not null && integers.AsSpan().Contains(Hole);
        this.doubles = doubles;
        Width = width;
        Exact = exact;
    }

    public int Width { get; }

    /// <summary>Texts of the values that a double does not hold exactly, by index.</summary>
    public Dictionary<int, byte[]>? Exact { get; }

    public int Length => integers?.Length ?? doubles!.Length;

    public long SizeBytes => (integers?.Length ?? 0) * (long)sizeof(int) + (doubles?.Length ?? 0) * (long)sizeof(double) + (Exact?.Count ?? 0) * 64L;

    public double this[int index] => doubles is not null ? doubles[index] : Decode(integers![index], GridNumber.PowerOf(decimals));

    /// <summary>A column of doubles, held as integers where that can be. The array is the column's from now on.</summary>
    public static GridColumn Of(double[] values, int width, Dictionary<int, byte[]>? exact) =>
        exact is null && TryScale(values, out var integers, out var decimals) ? new GridColumn(integers, decimals, null, width, null) : new GridColumn(null, 0, values, width, exact);

    /// <summary>The same of numbers as they were read; they are copied.</summary>
    public static GridColumn Of(ReadOnlySpan<GridNumber> numbers, int width, Dictionary<int, byte[]>? exact)
    {
        if (exact is null && TryScale(numbers) is (var integers, var decimals)) return new GridColumn(integers, decimals, null, width, null);
        var values = new double[numbers.Length];
        for (var i = 0; i < values.Length; i++) values[i] = numbers[i].Value;
        return Of(values, width, exact);
    }

    /// <summary>A number as it is held.</summary>
    public GridNumber Number(int index) =>
        doubles is not null ? new GridNumber(doubles[index]) : integers![index] == Hole ? new GridNumber(double.NaN) : new GridNumber(integers[index], decimals);

    /// <summary>The strategy has a hole to fill.</summary>
    public bool IsFilledBy(FillStrategy strategy) => strategy != FillStrategy.Missing && HasHole();

    public bool HasHole()
    {
        if (integers is not null) return hasHole;
        foreach (var value in doubles!)
            if (double.IsNaN(value)) return true;
        return false;
    }

    public void CopyTo(int start, Span<double> values)
    {
        if (doubles is not null)
        {
            doubles.AsSpan(start, values.Length).CopyTo(values);
            return;
        }

        var from = integers.AsSpan(start, values.Length);
        var power = GridNumber.PowerOf(decimals);
        var done = 0;
        // Several at once, and holes as numbers: these are put right where there are any.
        for (; done <= from.Length - Vector256<int>.Count; done += Vector256<int>.Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Create(from.Slice(done, Vector256<int>.Count)));
            (Vector256.ConvertToDouble(low) / power).CopyTo(values[done..]);
            (Vector256.ConvertToDouble(high) / power).CopyTo(values[(done + Vector256<double>.Count)..]);
        }

        for (; done < from.Length; done++) values[done] = from[done] / power;
        for (var hole = hasHole ? from.IndexOf(Hole) : -1; hole >= 0 && hole < from.Length; hole++)
            if (from[hole] == Hole) values[hole] = double.NaN;
    }

    /// <summary>The column's doubles without holes, as far as the strategy fills them; those that it holds itself are not copied for nothing.</summary>
    public FilledColumn Filled(FillStrategy strategy)
    {
        var fills = IsFilledBy(strategy);
        if (!fills && doubles is not null) return new FilledColumn(doubles, Exact);
        var values = GC.AllocateUninitializedArray<double>(Length);
        CopyTo(0, values);
        if (!fills) return new FilledColumn(values, Exact);
        var exact = Exact is null ? null : new Dictionary<int, byte[]>(Exact);
        Fill.Columns(values, exact, Width, strategy);
        return new FilledColumn(values, exact);
    }

    /// <summary>Held as integers.</summary>
    public bool IsDecimal => integers is not null;

    /// <summary>
    /// Writes a column of decimals as a JSON list, as <see cref="JsonText.FormatNumber"/> writes their doubles, but without making
    /// these; rows of a keyed series are lists of their own.
    /// </summary>
    /// <param name="filled">What stands in the place of holes; null: they stay null.</param>
    public void WriteDecimals(int rows, bool keyed, FilledColumn? filled, IBufferWriter<byte> destination)
    {
        // So many numbers at once, and brackets and a comma around them.
        const int Numbers = DecimalText.NumbersMax, Room = Numbers * DecimalText.Room + 8;
        var text = new DecimalText(decimals);
        var (lists, width) = keyed ? (rows, Width) : (1, rows);
        var json = destination.GetSpan(Room);
        var at = 0;
        json[at++] = (byte)'[';
        for (var list = 0; list < lists; list++)
        {
            if (keyed) json[at++] = (byte)'[';
            for (var i = 0; i < width; i += Numbers)
            {
                if (json.Length - at < Room) Next(destination, ref json, ref at);
                var (from, count) = (list * width + i, Math.Min(Numbers, width - i));
                at += text.Write(integers.AsSpan(from, count), Hole, filled is null ? default : filled.Values.AsSpan(from, count), json[at..]);
            }

            // The comma behind the last number makes room for a bracket.
            if (width > 0) at--;
            if (!keyed) break;
            json[at++] = (byte)']';
            if (list + 1 < lists) json[at++] = (byte)',';
            if (json.Length - at < Room) Next(destination, ref json, ref at);
        }

        json[at++] = (byte)']';
        destination.Advance(at);

        static void Next(IBufferWriter<byte> destination, ref Span<byte> json, ref int at)
        {
            destination.Advance(at);
            json = destination.GetSpan(Room);
            at = 0;
        }
    }

    private static double Decode(int integer, double power) => integer == Hole ? double.NaN : integer / power;

    private static (int[] Integers, int Decimals)? TryScale(ReadOnlySpan<GridNumber> numbers)
    {
        var most = 0;
        foreach (ref readonly var number in numbers)
        {
            if (number.Decimals > most) most = number.Decimals;
            else if (number.Decimals < 0 && !number.IsHole) return null;
        }

        var integers = new int[numbers.Length];
        for (var i = 0; i < integers.Length; i++)
        {
            ref readonly var number = ref numbers[i];
            if (number.Decimals < 0)
            {
                integers[i] = Hole;
                continue;
            }

            var integer = number.Integer;
            for (var decimals = (int)number.Decimals; decimals < most; decimals++)
            {
                integer *= 10;
                if (integer is > int.MaxValue or < -int.MaxValue) return null;
            }

            if (integer is > int.MaxValue or < -int.MaxValue) return null;
            integers[i] = (int)integer;
        }

        return (integers, most);
    }

    private static bool TryScale(ReadOnlySpan<double> values, out int[] integers, out int decimals)
    {
        decimals = 0;
        integers = [];
        foreach (var value in values)
        {
            if (double.IsNaN(value)) continue;
            while (!IsInteger(value, GridNumber.PowerOf(decimals), out _))
                if (++decimals > GridNumber.DecimalsMax) return false;
        }

        integers = new int[values.Length];
        for (var i = 0; i < integers.Length; i++)
        {
            if (double.IsNaN(values[i])) integers[i] = Hole;
            else if (!IsInteger(values[i], GridNumber.PowerOf(decimals), out integers[i])) return false;
        }

        return true;
    }

    private static bool IsInteger(double value, double power, out int integer)
    {
        var scaled = Math.Round(value * power);
        integer = 0;
        if (!(Math.Abs(scaled) <= int.MaxValue)) return false;
        integer = (int)scaled;
        return BitConverter.DoubleToInt64Bits(integer / power) == BitConverter.DoubleToInt64Bits(value);
    }
}

/// <summary>A column as inputs show it.</summary>
internal sealed record FilledColumn(double[] Values, Dictionary<int, byte[]>? Exact);
