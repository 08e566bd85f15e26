namespace Analytics.Actors.Node.Modules;

/// <summary>
/// The next 24 hours of a load from its hourly history: for each hour a weighted median of what that hour held on the
/// days before. The median, because it makes the mean absolute error least and one odd day does not move it; the
/// weights, because some days resemble the coming one more than others. Pure arithmetic, the same for every station:
/// all quantities are relative to the station's own load.
/// </summary>
/// <remarks>
/// <para>For the forecast of hour h (0 to 23 after the newest known hour) the samples are:</para>
/// <list type="number">
/// <item>the same hour a = 1..7 days back, with weight 0.9^(a-1), times 3 for a = 7 (same weekday), times 0.7 where one of
/// the two is a free day and the other is not, times the likeness of that day's beginning to now:
/// 1 / (1 + 3 |x - y| / mean load), where x is the hour before that day's 24 hours and y the newest hour (0.5 where x or
/// y is unknown). Charging comes in blocks of hours: a station that is busy at the origin resembles days that began
/// busy;</item>
/// <item>the newest three hours, with weight 3 x 0.8^(distance in hours - 1): what runs now goes on for a while;</item>
/// <item>the mean of the newest 24 hours, with weight 0.7: the recent level, to which sparse samples shrink.</item>
/// </list>
/// <para>
/// Missing hours take no part. A collector's dropout arrives as zeros, so two runs of zeros count as missing: one of a
/// day or more at the start of the history of a station that delivers later (there was nothing yet), and one that ended
/// and is as improbable as <see cref="DropoutLogProbability"/> says, measured by how often the same hours are zero on the
/// other days; eight hours that are never zero otherwise reach that. A run that still goes on is taken at its word: the
/// station may be out of service.
/// </para>
/// <para>
/// The constants were chosen on the first 80 % of the hours of a public data set and checked on the rest; see
/// Replay/README.md. A median leaves rare peaks out: its sum is less than the energy to be expected.
/// </para>
/// </remarks>
public static class AnalogDayMedian
{
    public const int Horizon = 24;

    private const int Day = 24;
    private const int DaysBack = 7;
    private const double DailyDecay = 0.9;
    private const double SameWeekdayFactor = 3;
    private const double OtherDayTypeFactor = 0.7;
    private const double UnlikenessFactor = 3;
    private const double UnknownLikeness = 0.5;
    private const int NewestHours = 3;
    private const double NewestWeight = 3;
    private const double HourlyDecay = 0.8;
    private const double RecentMeanWeight = 0.7;
    private const double DropoutLogProbability = -20;

    /// <summary>Forecasts the 24 hours after the history's end.</summary>
    /// <param name="history">Hourly values, oldest first; NaN where missing.</param>
    /// <param name="freeHistory">Per hour of the history, whether it lies in a free day; empty where unknown.</param>
    /// <param name="freeForecast">Per hour of the forecast, likewise.</param>
    /// <param name="forecast">Receives 24 values; NaN where no sample exists.</param>
    /// <returns>How many hours of the history took part.</returns>
    public static int Forecast(
        ReadOnlySpan<double> history, ReadOnlySpan<bool> freeHistory, ReadOnlySpan<bool> freeForecast, Span<double> forecast)
    {
        var known = history.ToArray();
        DropLeadingZeros(known);
        DropImprobableZeros(known);
        var knownHours = known.Count(value => !double.IsNaN(value));
        var scale = Mean(known, absolute: true);
        var recentMean = Mean(known.AsSpan(Math.Max(0, known.Length - Day)), absolute: false);
        var dayTypesKnown = freeHistory.Length == known.Length && freeForecast.Length >= Horizon;
        Span<double> likeness = stackalloc double[DaysBack + 1];
        for (var age = 1; age <= DaysBack; age++) likeness[age] = Likeness(known, age, scale);

        Span<double> values = stackalloc double[DaysBack + NewestHours + 1];
        Span<double> weights = stackalloc double[values.Length];
        for (var hour = 0; hour < Horizon; hour++)
        {
            var samples = new Samples(values, weights);
            for (var age = DaysBack; age >= 1; age--)
            {
                var index = known.Length - Day * age + hour;
                if (index < 0) continue;
                var weight = Math.Pow(DailyDecay, age - 1) * likeness[age];
                if (age == DaysBack) weight *= SameWeekdayFactor;
                if (dayTypesKnown && freeHistory[index] != freeForecast[hour]) weight *= OtherDayTypeFactor;
                samples.Add(known[index], weight);
            }

            for (var back = 0; back < NewestHours && back < known.Length; back++)
                samples.Add(known[^(back + 1)], NewestWeight * Math.Pow(HourlyDecay, hour + back));
            samples.Add(recentMean, RecentMeanWeight);
            forecast[hour] = samples.Median();
        }

        return knownHours;
    }

    private static double Likeness(double[] known, int age, double scale)
    {
        var before = known.Length - Day * age - 1;
        if (before < 0 || double.IsNaN(known[before]) || double.IsNaN(known[^1])) return UnknownLikeness;
        var distance = Math.Abs(known[before] - known[^1]);
        return distance == 0 ? 1 : 1 / (1 + UnlikenessFactor * distance / scale);
    }

    private static void DropLeadingZeros(double[] known)
    {
        var first = Array.FindIndex(known, value => value != 0 && !double.IsNaN(value));
        if (first >= Day) Array.Fill(known, double.NaN, 0, first);
    }

    private static void DropImprobableZeros(double[] known)
    {
        // Judged on the history as it came, so that the order of the runs does not matter.
        var history = (double[])known.Clone();
        for (var start = 0; start < history.Length; start++)
        {
            if (history[start] != 0) continue;
            var end = start;
            while (end < history.Length && history[end] == 0) end++;
            if (end - start > 1 && end < history.Length && LogProbability(history, start, end) < DropoutLogProbability)
                Array.Fill(known, double.NaN, start, end - start);
            start = end;
        }
    }

    private static double LogProbability(double[] history, int start, int end)
    {
        var sum = 0.0;
        for (var hour = start; hour < end; hour++)
        {
            int zeros = 0, others = 0;
            for (var other = hour % Day; other < history.Length; other += Day)
            {
                if ((other >= start && other < end) || double.IsNaN(history[other])) continue;
                others++;
                if (history[other] == 0) zeros++;
            }

            sum += Math.Log((zeros + 0.5) / (others + 1));
        }

        return sum;
    }

    private static double Mean(ReadOnlySpan<double> values, bool absolute)
    {
        var sum = 0.0;
        var count = 0;
        foreach (var value in values)
        {
            if (double.IsNaN(value)) continue;
            sum += absolute ? Math.Abs(value) : value;
            count++;
        }

        return count == 0 ? double.NaN : sum / count;
    }

    /// <summary>Weighted samples, sorted as they come: there are at most eleven.</summary>
    private ref struct Samples(Span<double> values, Span<double> weights)
    {
        private readonly Span<double> values = values;
        private readonly Span<double> weights = weights;
        private int count;

        public void Add(double value, double weight)
        {
            if (double.IsNaN(value)) return;
            var at = count++;
            for (; at > 0 && values[at - 1] > value; at--)
            {
                values[at] = values[at - 1];
                weights[at] = weights[at - 1];
            }

            values[at] = value;
            weights[at] = weight;
        }

        /// <summary>
        /// Each sample sits at the middle of its weight; the value at half of the whole weight, linearly between its two
        /// neighbours. Never outside the samples.
        /// </summary>
        public readonly double Median()
        {
            if (count == 0) return double.NaN;
            var total = 0.0;
            for (var i = 0; i < count; i++) total += weights[i];
            double passed = 0, lastMiddle = 0;
            for (var i = 0; i < count; i++)
            {
                var middle = passed + weights[i] / 2;
                if (middle >= total / 2)
                {
                    if (i == 0) return values[0];
                    var part = (total / 2 - lastMiddle) / (middle - lastMiddle);
                    return values[i - 1] + part * (values[i] - values[i - 1]);
                }

                passed += weights[i];
                lastMiddle = middle;
            }

            return values[count - 1];
        }
    }
}
