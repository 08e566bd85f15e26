using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// The demo's own books: what was acknowledged, what must follow from it, and whether it did. It takes the word of nobody
/// but Kafka: acknowledgements on one side; marks, uploads and dead letters read back on the other. Times are ms on one
/// clock of the caller's. Memory is bounded: records are forgotten after <see cref="KeepMs"/>, counters stay. Safe for
/// concurrent use: producer and consumers report from their own threads.
/// </summary>
public sealed class DemoLedger
{
    private const int ExamplesKept = 10;

    // No record's fault: a result that came after the deadline of its batch, on a machine that was too busy.
    private const string LateAnswer = "late-answer";
    private const int DeadLettersKept = 200_000;
    private const int PendingKept = 200_000;

    private readonly Lock gate = new();
    private readonly int shardCount;
    private readonly PipelineConfiguration pipeline;
    private readonly LedgerModule[] modules;
    private readonly Dictionary<string, LedgerModule> modulesByOutput = [];
    private readonly Dictionary<string, int> topicIndexes = [];
    private readonly Dictionary<string, StationBook> stations = [];
    private readonly bool[] globalTopics;
    private readonly Dictionary<(string Topic, int Partition), AcknowledgedRecords> records = [];
    private readonly Dictionary<WitnessKey, Witness> expected = [];
    private readonly HashSet<DeadLetterKey> deadLettersExpected = [];
    private readonly Dictionary<DeadLetterKey, int> deadLettersRead = [];
    private readonly Dictionary<(string Store, int Shard, string Topic, int Partition), long> sequences = [];
    private readonly Dictionary<string, OutputTrigger> outputs = [];
    private readonly Queue<(string Trigger, long ReadMs)> outputsByAge = [];
    private readonly Dictionary<(int Module, string BatchId), OpenBatch> openBatches = [];
    private readonly Dictionary<string, List<(Upload Upload, LedgerModule Module, long ReadMs)>> waiting = [];
    private readonly Dictionary<string, (long Count, List<string> Examples)> faults = [];
    private readonly SortedDictionary<string, long> badRecords = [];
    private readonly Dictionary<int, UploadSample> samples = [];
    private readonly List<string> produceFailures = [];
    private readonly LatencyFigures latency = new();
    private long recordsIn, recordsRejected, partsExpected, deadLetterReads, uploadsRead, uploadRepeats, uploadsUnchecked, resultsRead;
    private long lateAnswers;
    private long produceFailed, faultCount, waitingCount, sweptAtMs;

    /// <param name="pipeline">Says which modules are enabled, what they require and where they upload.</param>
    /// <param name="shardCount">N, for a station's shard.</param>
    public DemoLedger(PipelineConfiguration pipeline, int shardCount)
    {
        this.pipeline = pipeline;
        this.shardCount = shardCount;
        foreach (var topic in pipeline.Topics.Keys) topicIndexes.Add(topic, topicIndexes.Count);
        globalTopics = new bool[topicIndexes.Count];
        var enabled = pipeline.Modules.Values.Where(module => module.Enabled).ToArray();
        if (enabled.Length > 64) throw new ArgumentException("The demo's ledger follows at most 64 enabled modules.", nameof(pipeline));
        modules = [.. enabled.Select((module, index) => new LedgerModule(module, index, pipeline, topicIndexes))];
        foreach (var module in modules) modulesByOutput[module.Configuration.OutputTopic] = module;
    }

    /// <summary>How long records and outputs are remembered, ms.</summary>
    public long KeepMs { get; init; } = 600_000;

    private sealed class LedgerModule
    {
        public LedgerModule(ModuleConfiguration configuration, int index, PipelineConfiguration pipeline, Dictionary<string, int> topicIndexes)
        {
            Configuration = configuration;
            Index = index;
            Required = [.. configuration.RequiredTopics.Select(topic => topicIndexes[topic])];
            TriggeringTopics = configuration.TriggerOnEvent ? [.. configuration.Topics.Where(topic => pipeline.Topics[topic].Triggers)] : [];
        }

        public ModuleConfiguration Configuration { get; }
        public int Index { get; }
        public ulong Bit => 1UL << Index;
        public int[] Required { get; }
        public HashSet<string> TriggeringTopics { get; }
        public bool IsLegacy => Configuration.UploadFormat == UploadFormat.Legacy;
    }

    private sealed class StationBook(int shard, int topics, int modules)
    {
        public int Shard { get; } = shard;
        public bool[] Topics { get; } = new bool[topics];
        public long?[] ReadyAtMs { get; } = new long?[modules];
        public ulong Called { get; set; }
        public OrderSeconds? Orders { get; set; }
    }

    /// <summary>An upload that can trigger other modules: the stations in it.</summary>
    private sealed class OutputTrigger(IReadOnlyList<string> stations, long readMs)
    {
        public IReadOnlyList<string> Stations { get; } = stations;
        public long ReadMs { get; } = readMs;
        public ulong CompleteModules;
    }

    /// <summary>A record is in Kafka. To be called once per record, from the producer's report.</summary>
    public void Acknowledged(DemoRecord record, int partition, long offset, long ackMs)
    {
        lock (gate)
        {
            var expectation = record.Expectation;
            ref var log = ref CollectionsMarshal.GetValueRefOrAddDefault(records, (record.Topic, partition), out _);
            log ??= new AcknowledgedRecords();
            if (!log.Add(offset, expectation, ackMs, KeepMs))
            {
                Fault("an offset was acknowledged twice", $"{record.Topic}:{partition}:{offset}");
                return;
            }

            recordsIn++;
            if (expectation.IsRejectedWhole) recordsRejected++;
            if (expectation.Bad is { } kind)
            {
                badRecords[kind.ToString()] = badRecords.GetValueOrDefault(kind.ToString()) + 1;
                foreach (var rejection in expectation.Rejections)
                    deadLettersExpected.Add(new DeadLetterKey(record.Topic, partition, offset, rejection.Index, rejection.Code));
            }

            if (expectation.IsGlobal)
            {
                for (var shard = 0; shard < shardCount; shard++) Expect(new WitnessKey(shard, record.Topic, partition), new Place(offset, 0, 0));
                GlobalArrived(record.Topic, ackMs);
            }

            foreach (var part in expectation.Parts)
            {
                var station = Station(part.Station);
                Expect(new WitnessKey(station.Shard, record.Topic, partition), new Place(offset, part.Index, 0));
                Arrived(station, record.Topic, ackMs);
                if (IsOrders(record.Topic)) (station.Orders ??= new OrderSeconds()).Acknowledged(record.TimestampMs, ackMs);
            }

            if (waiting.Count > 0) CheckWaiting(Trigger(record.Topic, partition, offset));
        }
    }

    /// <summary>A record could not be written: whether it is in Kafka is unknown, so the books cannot balance.</summary>
    public void ProduceFailed(DemoRecord record, string reason)
    {
        lock (gate)
        {
            produceFailed++;
            if (produceFailures.Count < ExamplesKept) produceFailures.Add($"{record.Topic}: {reason}");
        }
    }

    /// <summary>A record of an output topic was read back.</summary>
    public void UploadRead(UploadRecord record)
    {
        lock (gate)
        {
            var place = $"{record.Topic}:{record.Partition}:{record.Offset}";
            if (!modulesByOutput.TryGetValue(record.Topic, out var module))
            {
                Fault("an upload is in a topic of no enabled module", place);
                return;
            }

            if (IsRepeat(record.Topic, record.Origin, place))
            {
                uploadRepeats++;
                return;
            }

            uploadsRead++;
            // An entry that could never be sent leaves an empty record with its sequence.
            if (record.Value.IsEmpty) return;
            var (upload, fault) = Upload.Read(record.Value.Span);
            if (upload is null)
            {
                Fault(fault!, place);
                return;
            }

            // A module without batches, or a call that no record of a batch asked for (an interval, global data).
            if (upload.SingleStation is not null || module.Configuration.Batch.Kind == BatchKind.None)
            {
                if (upload.SingleStation is null || upload.Module != module.Configuration.Name || !upload.HasTimestamp) Fault("a single result lacks station_id, module or timestamp", place);
                else Resulted(module, record, [upload.SingleStation]);
                return;
            }

            var alone = BatchCheck.Alone(upload, module.Configuration.Name, module.IsLegacy);
            foreach (var found in alone) Fault(found, place);
            if (upload.Stations is null || upload.Failed is null || upload.Missing is null || upload.BatchId is null || upload.Revision is null) return;
            Resulted(module, record, upload.Stations);
            if (module.Configuration.Batch.Kind != BatchKind.Record)
            {
                uploadsUnchecked++;
                return;
            }

            // Only an upload without fault may become the canary's sample.
            var sample = alone.Count == 0 ? record.Value.Span : [];
            if (Check(upload, module, record.ReadMs, sample) || waitingCount >= PendingKept) return;
            // The acknowledgement may still be on its way from the producer's thread.
            ref var list = ref CollectionsMarshal.GetValueRefOrAddDefault(waiting, upload.BatchId, out _);
            (list ??= []).Add((upload, module, record.ReadMs));
            waitingCount++;
        }
    }

    /// <summary>A dead letter was read back.</summary>
    /// <param name="origin">Its header <c>aa-origin</c>, where it has one: a repeat of the same entry is then recognised.</param>
    /// <param name="topic">The topic in which it was read, for the repeats.</param>
    public void DeadLetterRead(DeadLetterKey key, string? origin = null, string topic = "")
    {
        lock (gate)
        {
            if (origin is not null && IsRepeat(topic, origin, key.ToString())) return;
            if (key.Code == LateAnswer)
            {
                lateAnswers++;
                return;
            }

            deadLetterReads++;
            ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(deadLettersRead, key, out var exists);
            count++;
            if (exists || deadLettersRead.Count <= DeadLettersKept) return;
            deadLettersRead.Remove(key);
            Fault("more dead letters than the ledger can hold", key.ToString());
        }
    }

    /// <summary>Results that came when their batch was no longer kept, read back as dead letters; apart from those of bad records.</summary>
    public long LateAnswers
    {
        get { lock (gate) return lateAnswers; }
    }

    /// <summary>The counters so far.</summary>
    public LedgerProgress Progress()
    {
        lock (gate)
        {
            var all = latency.All();
            return new LedgerProgress(
                recordsIn, partsExpected, recordsRejected, deadLettersExpected.Count, deadLetterReads, uploadsRead, resultsRead, faultCount,
                all.Quantile(0.5), all.Quantile(0.99));
        }
    }

    /// <summary>Whether the shards have applied all that was acknowledged, and all dead letters are there: the demo may end.</summary>
    public bool Agrees(IReadOnlyList<AppliedMark> marks)
    {
        lock (gate)
        {
            var applied = MarkComparison.Sum(marks, IsSource);
            return expected.Count == applied.Count
                && expected.All(entry => applied.TryGetValue(entry.Key, out var witness) && witness == entry.Value)
                && deadLettersExpected.All(deadLettersRead.ContainsKey);
        }
    }

    /// <summary>The comparison, once everything is still.</summary>
    public LedgerVerdict Verdict(IReadOnlyList<AppliedMark> marks)
    {
        lock (gate)
        {
            var applied = MarkComparison.Sum(marks, IsSource);
            var differences = MarkComparison.Compare(expected, applied, PlacesOf);
            var deadLetters = DeadLetterComparison.Compare(deadLettersExpected, deadLettersRead);
            foreach (var (batchId, uploads) in waiting)
                foreach (var _ in uploads) Fault("an upload names a record that was never acknowledged", batchId);
            waiting.Clear();
            waitingCount = 0;
            var lost = differences.Sum(difference => difference.Lost);
            var duplicated = differences.Sum(difference => difference.Duplicated);
            var shares = modules.Select(Share).ToArray();
            var uploadFaults = faults.Select(fault => new UploadFault(fault.Key, fault.Value.Count, fault.Value.Examples)).OrderBy(fault => fault.Fault, StringComparer.Ordinal).ToArray();
            return new LedgerVerdict
            {
                RecordsIn = recordsIn,
                RecordsRejected = recordsRejected,
                RecordsApplied = Math.Max(0, recordsIn - recordsRejected - lost),
                RecordsLost = lost,
                RecordsDuplicated = duplicated,
                PartsExpected = partsExpected,
                PartsApplied = applied.Values.Sum(witness => witness.Count),
                Stations = stations.Count,
                Uploads = uploadsRead,
                ResultsRead = resultsRead,
                UploadRepeats = uploadRepeats,
                UploadsUnchecked = uploadsUnchecked,
                DeadLetters = deadLetterReads,
                DeadLettersExpected = deadLettersExpected.Count,
                BadRecords = new SortedDictionary<string, long>(badRecords),
                Differences = differences,
                DeadLetterDifferences = deadLetters,
                UploadFaults = uploadFaults,
                Modules = shares,
                Latency = latency,
                Checks = Checks(differences, lost, duplicated, deadLetters, uploadFaults, shares),
            };
        }
    }

    /// <summary>
    /// Proves that the comparison can fail: on copies of these very books in which one part is missing, one was applied
    /// twice, an upload is altered, a dead letter is gone. Changes nothing.
    /// </summary>
    public CanaryOutcome Canary(IReadOnlyList<AppliedMark> marks)
    {
        lock (gate)
        {
            return LedgerCanary.Run(
                expected, MarkComparison.Sum(marks, IsSource), PlacesOf, deadLettersExpected, deadLettersRead,
                samples.OrderBy(sample => sample.Key).Select(sample => sample.Value).ToArray());
        }
    }

    /// <summary>The witnesses that flawless shards would report; for tests, and for demos without a node.</summary>
    public IReadOnlyList<AppliedMark> ExpectedMarks()
    {
        lock (gate)
        {
            return [.. expected.Select(entry => new AppliedMark(entry.Key.Shard, entry.Key.Topic, entry.Key.Partition, entry.Value.Count, entry.Value.Hash))];
        }
    }

    private List<LedgerCheck> Checks(
        IReadOnlyList<WitnessDifference> differences, long lost, long duplicated, DeadLetterDifferences deadLetters,
        UploadFault[] uploadFaults, ModuleShare[] shares)
    {
        var checks = new List<LedgerCheck>
        {
            new("records were produced", recordsIn > 0 && produceFailed == 0, produceFailed == 0 ? $"{recordsIn} acknowledged" : $"{produceFailed} failed: {string.Join("; ", produceFailures)}"),
            new("every part was applied exactly once", differences.Count == 0,
                differences.Count == 0 ? $"{partsExpected} parts" : $"{lost} lost, {duplicated} duplicated: {string.Join("; ", differences.Take(ExamplesKept).Select(Describe))}"),
            new("every dead letter is there, and no other", deadLetters.Total == 0,
                deadLetters.Total == 0
                    ? $"{deadLettersExpected.Count} dead letters"
                    : $"{deadLetters.Missing.Count} missing, {deadLetters.Unexpected.Count} unexpected, {deadLetters.Repeated.Count} repeated: {string.Join("; ", deadLetters.Missing.Concat(deadLetters.Unexpected).Concat(deadLetters.Repeated).Take(ExamplesKept))}"),
            new("every upload holds what its record named", uploadFaults.Length == 0,
                uploadFaults.Length == 0 ? $"{uploadsRead} uploads, {resultsRead} results" : string.Join("; ", uploadFaults.Select(fault => $"{fault.Count} x {fault.Fault} ({fault.Examples[0]})"))),
        };
        foreach (var share in shares)
        {
            checks.Add(new LedgerCheck($"{share.Module} was called for the stations that were ready", share.Share >= ModuleShare.Least,
                share.Ready == 0 ? "no station was ready" : string.Create(CultureInfo.InvariantCulture, $"{share.Called} of {share.Ready} ({share.Share:P1})")));
        }

        if (shares.Length > 0) checks.Add(new LedgerCheck("some module had a station that was ready", shares.Any(share => share.Ready > 0), $"{shares.Count(share => share.Ready > 0)} of {shares.Length} modules"));
        return checks;
    }

    private static string Describe(WitnessDifference difference) => difference.Explanation.Length > 0
        ? difference.Explanation
        : $"shard {difference.Key.Shard}, {difference.Key.Topic}[{difference.Key.Partition}]: {difference.Applied.Count} instead of {difference.Expected.Count}";

    private ModuleShare Share(LedgerModule module)
    {
        var (ready, called) = (0, 0);
        foreach (var station in stations.Values)
        {
            if (station.ReadyAtMs[module.Index] is null) continue;
            ready++;
            if ((station.Called & module.Bit) != 0) called++;
        }

        return new ModuleShare(module.Configuration.Name, ready, called);
    }

    private bool IsSource(string topic) => pipeline.Topics.TryGetValue(topic, out var configuration) && configuration.OutputOf is null;

    private bool IsOrders(string topic) => pipeline.Topics.TryGetValue(topic, out var configuration) && configuration.Mode == UpdateMode.Second;

    private static string Trigger(string topic, int partition, long offset) => string.Create(CultureInfo.InvariantCulture, $"{topic}:{partition}:{offset}");

    private (IEnumerable<Place> Places, bool AreAll) PlacesOf(WitnessKey key) => records.TryGetValue((key.Topic, key.Partition), out var log)
        ? (log.PlacesOf(key.Shard, shardCount), !log.HasDropped)
        : ([], true);

    private void Expect(WitnessKey key, Place place)
    {
        ref var witness = ref CollectionsMarshal.GetValueRefOrAddDefault(expected, key, out _);
        witness = witness.With(place);
        partsExpected++;
    }

    private StationBook Station(string id)
    {
        ref var station = ref CollectionsMarshal.GetValueRefOrAddDefault(stations, id, out _);
        return station ??= new StationBook(Murmur2.Partition(id, shardCount), topicIndexes.Count, modules.Length);
    }

    private void Arrived(StationBook station, string topic, long atMs)
    {
        if (!topicIndexes.TryGetValue(topic, out var index) || station.Topics[index]) return;
        station.Topics[index] = true;
        BecomesReady(station, atMs);
    }

    private void GlobalArrived(string topic, long atMs)
    {
        if (!topicIndexes.TryGetValue(topic, out var index) || globalTopics[index]) return;
        globalTopics[index] = true;
        foreach (var station in stations.Values) BecomesReady(station, atMs);
    }

    private void BecomesReady(StationBook station, long atMs)
    {
        foreach (var module in modules)
        {
            if (station.ReadyAtMs[module.Index] is not null) continue;
            bool Has(int topic) => station.Topics[topic] || globalTopics[topic];
            if (module.Configuration.RequiresAny ? module.Required.Any(Has) : module.Required.All(Has)) station.ReadyAtMs[module.Index] = atMs;
        }
    }

    // Origins number the entries of one shard for one partition without a hole: a lower number is a repeat, a jump a loss.
    private bool IsRepeat(string topic, string? originText, string place)
    {
        if (!Origin.TryParse(originText, out var origin))
        {
            Fault("an output has no aa-origin", place);
            return false;
        }

        ref var highest = ref CollectionsMarshal.GetValueRefOrAddDefault(sequences, (origin.Store, origin.Shard.Value, topic, origin.Partition), out var known);
        if (known && origin.Sequence <= highest) return true;
        if (known && origin.Sequence > highest + 1) Fault("outputs are missing between two sequences", $"{place}: {origin.Sequence} after {highest}");
        highest = origin.Sequence;
        return false;
    }

    private void Resulted(LedgerModule module, UploadRecord record, IReadOnlyList<string> resulted)
    {
        resultsRead += resulted.Count;
        foreach (var id in resulted)
        {
            // A station that no record named is a fault of its batch, found there.
            if (!stations.TryGetValue(id, out var station)) continue;
            station.Called |= module.Bit;
            Arrived(station, record.Topic, record.ReadMs);
        }

        if (record.Origin is null || !topicIndexes.ContainsKey(record.Topic)) return;
        var trigger = $"{record.Topic}:{record.Origin}";
        outputs[trigger] = new OutputTrigger(resulted, record.ReadMs);
        outputsByAge.Enqueue((trigger, record.ReadMs));
        while (outputsByAge.TryPeek(out var oldest) && oldest.ReadMs < record.ReadMs - KeepMs)
        {
            outputsByAge.Dequeue();
            outputs.Remove(oldest.Trigger);
        }

        if (waiting.Count > 0) CheckWaiting(trigger);
    }

    private void CheckWaiting(string trigger)
    {
        if (!waiting.Remove(trigger, out var uploads)) return;
        waitingCount -= uploads.Count;
        foreach (var (upload, module, readMs) in uploads) Check(upload, module, readMs, []);
    }

    /// <summary>Holds an upload against its batch; false where the record that opened it is not known yet.</summary>
    private bool Check(Upload upload, LedgerModule module, long readMs, ReadOnlySpan<byte> value)
    {
        var batchId = upload.BatchId!;
        var colon = batchId.IndexOf(':', StringComparison.Ordinal);
        var topic = colon < 0 ? "" : batchId[..colon];
        if (!module.TriggeringTopics.Contains(topic))
        {
            Fault("a batch of a topic that does not trigger the module", $"{module.Configuration.Name} {batchId}");
            return true;
        }

        var trigger = batchId.AsSpan(colon + 1);
        var second = trigger.IndexOf(':');
        if (second < 0)
        {
            if (!Origin.TryParse(trigger.ToString(), out var origin))
            {
                Fault("a batch_id names neither a record nor an origin", batchId);
                return true;
            }

            if (outputs.TryGetValue(batchId, out var output))
            {
                Settle(upload, module, topic, output.Stations, ref output.CompleteModules, output.ReadMs, readMs, isChained: true, value);
                return true;
            }

            if (!sequences.TryGetValue((origin.Store, origin.Shard.Value, topic, origin.Partition), out var highest) || origin.Sequence > highest) return false;
            uploadsUnchecked++;
            return true;
        }

        if (!int.TryParse(trigger[..second], NumberStyles.None, CultureInfo.InvariantCulture, out var partition)
            || !long.TryParse(trigger[(second + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var offset))
        {
            Fault("a batch_id names neither a record nor an origin", batchId);
            return true;
        }

        if (!records.TryGetValue((topic, partition), out var log)) return false;
        ref var record = ref log.Find(offset);
        if (Unsafe.IsNullRef(ref record))
        {
            if (!log.IsDropped(offset)) return false;
            uploadsUnchecked++;
            return true;
        }

        if (record.Expectation!.IsGlobal)
        {
            Fault("a global record has a batch", batchId);
            return true;
        }

        var named = record.Expectation.Parts;
        Settle(upload, module, topic, named.Count == 1 ? [named[0].Station] : [.. named.Select(part => part.Station)], ref record.CompleteModules, record.AckMs, readMs, isChained: false, value);
        return true;
    }

    private void Settle(
        Upload upload, LedgerModule module, string topic, IReadOnlyList<string> named, ref ulong completeModules,
        long startMs, long readMs, bool isChained, ReadOnlySpan<byte> value)
    {
        var batchId = upload.BatchId!;
        var place = $"{module.Configuration.Name} {batchId}";
        if ((completeModules & module.Bit) != 0)
        {
            Fault("a second upload of one batch and revision", place);
            return;
        }

        var key = (module.Index, batchId);
        var before = openBatches.GetValueOrDefault(key);
        var found = BatchCheck.InBatch(upload, named, before);
        foreach (var fault in found) Fault(fault, place);
        var isFirst = before is null;
        if (isFirst || upload.Revision > before!.Revision)
        {
            if (BatchCheck.After(upload, before, readMs) is { } open)
            {
                openBatches[key] = open;
            }
            else
            {
                completeModules |= module.Bit;
                openBatches.Remove(key);
            }
        }

        SweepOpenBatches(readMs);
        if (found.Count > 0) return;
        Measure(upload, module, topic, named, startMs, readMs, isChained);
        if (isFirst && !value.IsEmpty && (!samples.TryGetValue(module.Index, out var sample) || sample.Stations.Count < Math.Min(named.Count, 4)))
            samples[module.Index] = new UploadSample(module.Configuration.Name, module.IsLegacy, named, value.ToArray());
    }

    private void Measure(Upload upload, LedgerModule module, string topic, IReadOnlyList<string> named, long startMs, long readMs, bool isChained)
    {
        // Stations that answered with nothing may be called missing too: only one that was waited for ended by deadline.
        if (upload.Revision > 1 || (upload.Missing!.Count > 0 && readMs - startMs >= module.Configuration.Batch.DeadlineMs))
        {
            latency.Deadline.Add(readMs - startMs);
            return;
        }

        var isOrders = IsOrders(topic);
        var fromMs = startMs;
        foreach (var id in named)
        {
            var station = Station(id);
            // The record that completed a trigger is the later one of the batch's own and the last that was required.
            if (station.ReadyAtMs[module.Index] is not { } readyAtMs)
            {
                latency.Incomplete.Add(readMs - startMs);
                return;
            }

            fromMs = Math.Max(fromMs, readyAtMs);
            if (!isOrders) continue;
            if (station.Orders?.ClosedAtMs(startMs) is not { } closedAtMs)
            {
                latency.Unknown++;
                return;
            }

            fromMs = Math.Max(fromMs, closedAtMs);
        }

        (isChained ? latency.Chained : isOrders ? latency.Orders : latency.Events).Add(readMs - fromMs);
    }

    // Batches that never complete would stay for ever.
    private void SweepOpenBatches(long nowMs)
    {
        if (nowMs < sweptAtMs + KeepMs / 4) return;
        sweptAtMs = nowMs;
        foreach (var key in openBatches.Where(entry => entry.Value.ReadMs < nowMs - KeepMs).Select(entry => entry.Key).ToArray()) openBatches.Remove(key);
    }

    private void Fault(string fault, string example)
    {
        faultCount++;
        ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(faults, fault, out _);
        entry.Examples ??= [];
        entry.Count++;
        if (entry.Examples.Count < ExamplesKept) entry.Examples.Add(example);
    }
}
