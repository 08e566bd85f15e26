namespace Analytics.Actors.Node.Demo;

/// <summary>One thing that was checked, in words, and whether it holds.</summary>
/// <param name="Detail">Figures, or the first faults.</param>
public sealed record LedgerCheck(string Name, bool Passed, string Detail);

/// <summary>How many of the stations that could be called by a module were.</summary>
/// <param name="Ready">Stations for which all that the module requires was acknowledged (and uploaded, for outputs it depends on).</param>
/// <param name="Called">Those of them with a result in an upload of the module.</param>
public sealed record ModuleShare(string Module, int Ready, int Called)
{
    /// <summary>The least share with which a demo passes.</summary>
    public const double Least = 0.95;

    /// <summary>1.0 where no station was ready: then there was nothing to call.</summary>
    public double Share => Ready == 0 ? 1.0 : (double)Called / Ready;
}

/// <summary>A kind of fault in uploads, how often it was found, and the first places.</summary>
public sealed record UploadFault(string Fault, long Count, IReadOnlyList<string> Examples);

/// <summary>The latencies of a demo, each kind of batch apart.</summary>
public sealed class LatencyFigures
{
    /// <summary>Batches of all records but orders: from the acknowledgement of the record that completed the trigger.</summary>
    public LatencyHistogram Events { get; } = new();

    /// <summary>Batches of orders: from the closing of the order's second (see <see cref="OrderSeconds"/>).</summary>
    public LatencyHistogram Orders { get; } = new();

    /// <summary>Batches of modules' outputs: from when the triggering upload was read back to when theirs was.</summary>
    public LatencyHistogram Chained { get; } = new();

    /// <summary>Batches that ended by deadline, and late revisions.</summary>
    public LatencyHistogram Deadline { get; } = new();

    /// <summary>Batches with a station that was called although something required was still missing: their wait is intended.</summary>
    public LatencyHistogram Incomplete { get; } = new();

    /// <summary>Order batches whose second was forgotten before their upload came.</summary>
    public long Unknown { get; set; }

    /// <summary>Events and orders together: the demo's latency.</summary>
    public LatencyHistogram All()
    {
        var all = new LatencyHistogram();
        all.Add(Events);
        all.Add(Orders);
        return all;
    }
}

/// <summary>Counters of a running ledger, for the live view and for pacing.</summary>
public sealed record LedgerProgress(
    long RecordsIn, long PartsExpected, long RecordsRejected, long DeadLettersExpected, long DeadLettersRead,
    long UploadsRead, long ResultsRead, long UploadFaults, long LatencyP50Ms, long LatencyP99Ms);

/// <summary>What the ledger found, at the end.</summary>
public sealed record LedgerVerdict
{
    /// <summary>Acknowledged records.</summary>
    public required long RecordsIn { get; init; }

    /// <summary>Of those, the ones of which nothing can be applied: they became dead letters.</summary>
    public required long RecordsRejected { get; init; }

    /// <summary>Records in, less the rejected and the lost ones.</summary>
    public required long RecordsApplied { get; init; }

    /// <summary>Parts (what one record says of one station; a global record has one per shard) that are missing in the marks.</summary>
    public required long RecordsLost { get; init; }

    /// <summary>Parts that were applied once too often.</summary>
    public required long RecordsDuplicated { get; init; }
    public required long PartsExpected { get; init; }
    public required long PartsApplied { get; init; }

    /// <summary>Stations named by an acknowledged record.</summary>
    public required int Stations { get; init; }
    public required long Uploads { get; init; }

    /// <summary>Results of stations in all uploads.</summary>
    public required long ResultsRead { get; init; }

    /// <summary>Uploads that were read again with an origin already seen: recognised, and no fault.</summary>
    public required long UploadRepeats { get; init; }

    /// <summary>Uploads of records older than what the ledger keeps: counted, not held against their record.</summary>
    public required long UploadsUnchecked { get; init; }
    public required long DeadLetters { get; init; }
    public required long DeadLettersExpected { get; init; }
    public required IReadOnlyDictionary<string, long> BadRecords { get; init; }
    public required IReadOnlyList<WitnessDifference> Differences { get; init; }
    public required DeadLetterDifferences DeadLetterDifferences { get; init; }
    public required IReadOnlyList<UploadFault> UploadFaults { get; init; }
    public required IReadOnlyList<ModuleShare> Modules { get; init; }
    public required LatencyFigures Latency { get; init; }
    public required IReadOnlyList<LedgerCheck> Checks { get; init; }

    public bool Passed => Checks.All(check => check.Passed);
}
