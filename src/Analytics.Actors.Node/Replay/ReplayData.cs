namespace Analytics.Actors.Node.Replay;

/// <summary>
/// Published measurements of charging stations as source records in event order: lazily, the same
/// bytes for the same options, in memory that does not grow with the number of records (sessions excepted: their files are
/// held to be sorted). The files and their mapping to topics are those of the data
/// directory's README; see <see cref="MelbourneReplay"/> and <see cref="SessionReplay"/> for what each record carries.
/// </summary>
public static class ReplayData
{
    /// <summary>The records of a data directory. Files are opened when the enumeration begins.</summary>
    /// <exception cref="ReplayDataException">While enumerating: a file is missing or not as expected.</exception>
    public static IEnumerable<ReplayRecord> Read(string directory, ReplayOptions? options = null)
    {
        options ??= new ReplayOptions();
        if (options.HoursBetweenPushes is < 1 or > 24 || 24 % options.HoursBetweenPushes != 0)
            throw new ArgumentOutOfRangeException(nameof(options), options.HoursBetweenPushes, "hours between pushes must divide 24");
        var sources = new List<IEnumerable<ReplayRecord>>();
        if (options.Melbourne) sources.Add(MelbourneReplay.Records(directory, options));
        if (options.Epfl) sources.Add(SessionReplay.Epfl(directory, options));
        if (options.Boulder) sources.Add(SessionReplay.Boulder(directory, options));
        return Merge(sources);
    }

    /// <summary>Merges sequences that are each in event order; of equal times the earlier sequence goes first.</summary>
    private static IEnumerable<ReplayRecord> Merge(List<IEnumerable<ReplayRecord>> sources)
    {
        var open = new List<IEnumerator<ReplayRecord>>();
        try
        {
            foreach (var source in sources)
            {
                var records = source.GetEnumerator();
                if (records.MoveNext()) open.Add(records);
                else records.Dispose();
            }

            while (open.MinBy(records => records.Current.TimestampMs) is { } next)
            {
                yield return next.Current;
                if (next.MoveNext()) continue;
                next.Dispose();
                open.Remove(next);
            }
        }
        finally
        {
            foreach (var records in open) records.Dispose();
        }
    }
}
