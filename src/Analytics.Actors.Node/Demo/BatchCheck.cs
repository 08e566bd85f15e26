namespace Analytics.Actors.Node.Demo;

/// <summary>What earlier revisions of a batch left open.</summary>
public sealed class OpenBatch
{
    public int Revision { get; set; }

    /// <summary>Stations that had not answered yet: only these may appear in later revisions.</summary>
    public HashSet<string> Missing { get; } = [];
    public long ReadMs { get; set; }
}

/// <summary>
/// Holds one upload against the stations that its batch must cover. Pure, so that the canary can run it on altered ones.
/// </summary>
public static class BatchCheck
{
    /// <summary>The faults of an upload by itself: its members, and that its counts are those of its lists.</summary>
    public static IReadOnlyList<string> Alone(Upload upload, string? moduleOfTopic, bool isLegacy)
    {
        var faults = new List<string>();
        if (moduleOfTopic is not null && upload.Module != moduleOfTopic) faults.Add("an upload names another module than its topic's");
        if (!upload.HasTimestamp) faults.Add("an upload has no timestamp");
        if (string.IsNullOrEmpty(upload.BatchId)) faults.Add("an upload has no batch_id");
        if (upload.Stations is null) faults.Add(isLegacy ? "an upload has no results" : "an upload has no stations");
        if (upload.Failed is null || upload.Missing is null) faults.Add("an upload lacks failed or missing");
        if (upload.Revision is not >= 1) faults.Add("an upload has no revision");
        if (upload.Stations is not null && upload.StationCount != upload.Stations.Count) faults.Add("station_count is not the number of stations");
        return faults;
    }

    /// <summary>The faults of an upload within its batch.</summary>
    /// <param name="upload">One that <see cref="Alone"/> found right.</param>
    /// <param name="expected">The stations that the batch's record named.</param>
    /// <param name="before">What earlier revisions left open; null before the first one.</param>
    public static IReadOnlyList<string> InBatch(Upload upload, IReadOnlyCollection<string> expected, OpenBatch? before)
    {
        var faults = new List<string>();
        var revision = upload.Revision!.Value;
        if (before is null && revision != 1) faults.Add("a revision came before the first one");
        if (before is not null && revision <= before.Revision) faults.Add("a second upload of one batch and revision");
        if (before is not null && revision > before.Revision + 1) faults.Add("a revision is missing");
        if (upload.ExpectedCount != expected.Count) faults.Add("expected_count is not the number of the record's stations");

        var seen = new HashSet<string>();
        var mayAppear = before is null ? expected as IReadOnlySet<string> ?? expected.ToHashSet() : before.Missing;
        foreach (var station in upload.Stations!.Concat(upload.Failed!).Concat(upload.Missing!))
        {
            if (!seen.Add(station)) faults.Add("a station is in an upload twice");
            else if (!mayAppear.Contains(station)) faults.Add(before is null ? "a station is not of the batch" : "a late station had not been missing");
        }

        return faults;
    }

    /// <summary>What is open after an upload; null where every station is accounted for.</summary>
    public static OpenBatch? After(Upload upload, OpenBatch? before, long readMs)
    {
        var open = before ?? new OpenBatch();
        open.Revision = upload.Revision!.Value;
        open.ReadMs = readMs;
        if (before is null) open.Missing.UnionWith(upload.Missing!);
        else open.Missing.ExceptWith(upload.Stations!.Concat(upload.Failed!));
        return open.Missing.Count == 0 ? null : open;
    }
}
