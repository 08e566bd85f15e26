using System.Buffers;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// What one topic adds to a module input: named members in order. Immutable, so that a window, several calls and a
/// running module can share one without copies. Members are JSON; numeric series are also there as columns of doubles.
/// </summary>
public abstract class InputFragment
{
    /// <summary>Names of the members, in the order in which they are written.</summary>
    public abstract IReadOnlyList<string> Names { get; }

    /// <summary>The member's value as UTF-8 JSON; made on first use where the fragment holds columns.</summary>
    public abstract ReadOnlyMemory<byte> GetJson(string name);

    /// <summary>Writes what <see cref="GetJson"/> gives; a fragment that holds columns writes them without making it first.</summary>
    public virtual void WriteJson(string name, IBufferWriter<byte> destination) => destination.Write(GetJson(name).Span);

    /// <summary>The member as numbers, where it is a list of numbers or a list of equally long lists of numbers; a null is NaN.</summary>
    public abstract bool TryGetSeries(string name, out NumericSeries series);
}

/// <summary>Numbers of one input member: row after row. A plain list has one column.</summary>
/// <param name="Values">Rows x Columns values; NaN where the input has null.</param>
/// <param name="Rows">Periods (or entries).</param>
/// <param name="Columns">Keys (guns) per row; 1 for a plain list.</param>
public readonly record struct NumericSeries(ReadOnlyMemory<double> Values, int Rows, int Columns)
{
    public double this[int row, int column] => Values.Span[row * Columns + column];
    public ReadOnlySpan<double> Row(int row) => Values.Span.Slice(row * Columns, Columns);
}
