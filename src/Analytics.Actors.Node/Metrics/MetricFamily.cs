using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text;

namespace Analytics.Actors.Node.Metrics;

/// <summary>One instrument with its series, one per set of labels. What a measurement means depends on the instrument.</summary>
internal abstract class MetricFamily(Instrument instrument, string type)
{
    public string Name => instrument.Name;
    public string Type => type;
    public string Help => instrument.Description ?? "";

    /// <summary>Observed series are told anew at each rendering; what is not told again is no more.</summary>
    public abstract void ForgetObserved();

    public abstract void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> labels);

    public abstract void Write(StringBuilder text);

    public static MetricFamily Of(Instrument instrument) => instrument switch
    {
        Counter<long> or Counter<double> => new SumFamily(instrument),
        Histogram<long> histogram => new HistogramFamily(instrument, [.. Buckets(histogram.Advice).Select(bound => (double)bound)]),
        Histogram<double> histogram => new HistogramFamily(instrument, [.. Buckets(histogram.Advice)]),
        Gauge<long> or Gauge<double> => new LastFamily(instrument, "gauge"),
        ObservableGauge<long> or ObservableGauge<double> => new LastFamily(instrument, "gauge"),
        ObservableCounter<long> or ObservableCounter<double> => new LastFamily(instrument, "counter"),
        _ => throw new NotSupportedException($"{instrument.Name}: instruments of the type {instrument.GetType()} are not rendered."),
    };

    private static IReadOnlyList<T> Buckets<T>(InstrumentAdvice<T>? advice) where T : struct =>
        advice?.HistogramBucketBoundaries ?? throw new ArgumentException("A histogram must name its buckets.");
}

/// <summary>A family whose series are of one kind.</summary>
internal abstract class MetricFamily<TSeries> : MetricFamily where TSeries : class
{
    private readonly ConcurrentDictionary<KeyValuePair<string, object?>[], TSeries> series = new(LabelComparer.Instance);
    private readonly ConcurrentDictionary<KeyValuePair<string, object?>[], TSeries>.AlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>> byLabels;
    private readonly Instrument instrument;

    protected MetricFamily(Instrument instrument, string type) : base(instrument, type)
    {
        this.instrument = instrument;
        byLabels = series.GetAlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>>();
    }

    public override void ForgetObserved()
    {
        if (instrument.IsObservable) series.Clear();
    }

    public override void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> labels)
    {
        if (!byLabels.TryGetValue(labels, out var one))
        {
            byLabels.TryAdd(labels, NewSeries());
            if (!byLabels.TryGetValue(labels, out one)) return;
        }
        lock (one) Record(one, value);
    }

    public override void Write(StringBuilder text)
    {
        // By labels, so that two renderings of the same numbers are the same text.
        foreach (var (labels, one) in series.OrderBy(entry => string.Join('\u001f', entry.Key.Select(label => label.Value)), StringComparer.Ordinal))
            lock (one) Write(text, labels, one);
    }

    protected abstract TSeries NewSeries();

    protected abstract void Record(TSeries one, double value);

    protected abstract void Write(StringBuilder text, KeyValuePair<string, object?>[] labels, TSeries one);
}

internal sealed class Number
{
    public double Value;
}

/// <summary>Measurements add up.</summary>
internal sealed class SumFamily(Instrument instrument) : MetricFamily<Number>(instrument, "counter")
{
    protected override Number NewSeries() => new();

    protected override void Record(Number one, double value) => one.Value += value;

    protected override void Write(StringBuilder text, KeyValuePair<string, object?>[] labels, Number one) =>
        PrometheusText.WriteSample(text, Name, "", labels, null, one.Value);
}

/// <summary>The last measurement counts.</summary>
internal sealed class LastFamily(Instrument instrument, string type) : MetricFamily<Number>(instrument, type)
{
    protected override Number NewSeries() => new();

    protected override void Record(Number one, double value) => one.Value = value;

    protected override void Write(StringBuilder text, KeyValuePair<string, object?>[] labels, Number one) =>
        PrometheusText.WriteSample(text, Name, "", labels, null, one.Value);
}

internal sealed class Distribution(int bounds)
{
    /// <summary>Measurements per bucket, not yet added up; the last one is for those above every bound.</summary>
    public readonly long[] Counts = new long[bounds + 1];
    public double Sum;
}

/// <summary>Measurements are counted in buckets, each up to and including its bound.</summary>
internal sealed class HistogramFamily(Instrument instrument, double[] bounds) : MetricFamily<Distribution>(instrument, "histogram")
{
    protected override Distribution NewSeries() => new(bounds.Length);

    protected override void Record(Distribution one, double value)
    {
        var bucket = Array.BinarySearch(bounds, value);
        one.Counts[bucket >= 0 ? bucket : ~bucket]++;
        one.Sum += value;
    }

    protected override void Write(StringBuilder text, KeyValuePair<string, object?>[] labels, Distribution one)
    {
        long cumulative = 0;
        for (var i = 0; i < one.Counts.Length; i++)
        {
            cumulative += one.Counts[i];
            PrometheusText.WriteSample(text, Name, "_bucket", labels, i < bounds.Length ? PrometheusText.Number(bounds[i]) : "+Inf", cumulative);
        }
        PrometheusText.WriteSample(text, Name, "_sum", labels, null, one.Sum);
        PrometheusText.WriteSample(text, Name, "_count", labels, null, cumulative);
    }
}
