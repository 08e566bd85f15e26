using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Analytics.Actors.Node.Metrics;

/// <summary>
/// Listens to one meter and renders its instruments in Prometheus' text format, under exactly the names that they were
/// given. A listener of the framework and not an exporter of OpenTelemetry: that one goes on reporting the last value of
/// an observable series for ever, and a shard or partition that this node has lost must vanish from the text.
/// Recording allocates nothing once a series exists.
/// </summary>
public sealed partial class PrometheusText : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly MeterListener listener = new();
    private readonly List<MetricFamily> families = [];
    private readonly Lock rendering = new();

    /// <summary>Takes in every instrument of the meter, those that exist and those to come.</summary>
    public PrometheusText(Meter meter)
    {
        listener.InstrumentPublished = (instrument, source) =>
        {
            if (!ReferenceEquals(instrument.Meter, meter)) return;
            if (!Name().IsMatch(instrument.Name)) throw new ArgumentException($"'{instrument.Name}' is not a name that Prometheus takes.");
            var family = MetricFamily.Of(instrument);
            lock (rendering) families.Add(family);
            source.EnableMeasurementEvents(instrument, family);
        };
        listener.SetMeasurementEventCallback<long>((_, value, labels, family) => ((MetricFamily)family!).Record(value, labels));
        listener.SetMeasurementEventCallback<double>((_, value, labels, family) => ((MetricFamily)family!).Record(value, labels));
        listener.Start();
    }

    /// <summary>The whole text, as of now. Families are in the order in which their instruments were made.</summary>
    public string Render()
    {
        lock (rendering)
        {
            foreach (var family in families) family.ForgetObserved();
            listener.RecordObservableInstruments();
            var text = new StringBuilder(16 * 1024);
            foreach (var family in families)
            {
                text.Append("# HELP ").Append(family.Name).Append(' ').Append(Escape(family.Help, quotes: false)).Append('\n');
                text.Append("# TYPE ").Append(family.Name).Append(' ').Append(family.Type).Append('\n');
                family.Write(text);
            }
            return text.ToString();
        }
    }

    public void Dispose() => listener.Dispose();

    /// <summary>One line: name, labels (with one more behind them where given), value.</summary>
    internal static void WriteSample(
        StringBuilder text, string name, string suffix, KeyValuePair<string, object?>[] labels, string? le, double value)
    {
        text.Append(name).Append(suffix);
        if (labels.Length > 0 || le is not null)
        {
            text.Append('{');
            foreach (var (label, labelled) in labels)
                text.Append(label).Append("=\"").Append(Escape(Convert.ToString(labelled, CultureInfo.InvariantCulture) ?? "", quotes: true)).Append("\",");
            if (le is not null) text.Append("le=\"").Append(le).Append("\",");
            text.Length--;
            text.Append('}');
        }
        text.Append(' ').Append(Number(value)).Append('\n');
    }

    internal static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf"
        : value.ToString("R", CultureInfo.InvariantCulture);

    private static string Escape(string text, bool quotes)
    {
        text = text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return quotes ? text.Replace("\"", "\\\"", StringComparison.Ordinal) : text;
    }

    [GeneratedRegex(@"\A[a-zA-Z_][a-zA-Z0-9_]*\z")]
    private static partial Regex Name();
}

/// <summary>Compares label sets by their values; a lookup by span finds a series without making an array.</summary>
internal sealed class LabelComparer :
    IEqualityComparer<KeyValuePair<string, object?>[]>,
    IAlternateEqualityComparer<ReadOnlySpan<KeyValuePair<string, object?>>, KeyValuePair<string, object?>[]>
{
    public static readonly LabelComparer Instance = new();

    public bool Equals(KeyValuePair<string, object?>[]? left, KeyValuePair<string, object?>[]? right) => Equals(left.AsSpan(), right!);

    public int GetHashCode([DisallowNull] KeyValuePair<string, object?>[] labels) => GetHashCode(labels.AsSpan());

    public KeyValuePair<string, object?>[] Create(ReadOnlySpan<KeyValuePair<string, object?>> labels) => labels.ToArray();

    public bool Equals(ReadOnlySpan<KeyValuePair<string, object?>> left, KeyValuePair<string, object?>[] right)
    {
        if (left.Length != right.Length) return false;
        for (var i = 0; i < left.Length; i++)
            if (left[i].Key != right[i].Key || !Equals(left[i].Value, right[i].Value)) return false;
        return true;
    }

    public int GetHashCode(ReadOnlySpan<KeyValuePair<string, object?>> labels)
    {
        var hash = new HashCode();
        foreach (var label in labels) hash.Add(label.Value);
        return hash.ToHashCode();
    }
}
