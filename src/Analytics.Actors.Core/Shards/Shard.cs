using Analytics.Actors.Core.Batches;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Stations;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Core.Shards;

/// <summary>A record read from one of the shard's data partitions.</summary>
/// <param name="Key">The key of a source record; null where it has none.</param>
/// <param name="Origin">The header aa-origin of a source record that is an output of ours; else null.</param>
/// <param name="Chunk">
/// Owns the bytes, which are valid only while the shard receives the record: what it keeps it copies. Null: they are nobody
/// else's.
/// </param>
/// <param name="HasValue">False: the record has no value at all, which reads as an empty one.</param>
public readonly record struct LogRecord(
    TopicPartition Partition, long Offset, long TimestampMs, ReadOnlyMemory<byte> Value, ReadOnlyMemory<byte>? Key = null,
    string? Origin = null, RecordChunk? Chunk = null, bool HasValue = true);

/// <summary>
/// One shard: its stations, its batches, its global windows, marks, positions and outbox. A state machine: records,
/// answers and times come in; calls, outbox entries and checkpoints come out.
/// </summary>
/// <remarks>
/// Must keep true: what is not above its mark changes nothing; positions go into the same checkpoint as the state they
/// produced; nothing leaves before the checkpoint that recorded it. Same input, same state.
/// </remarks>
public sealed partial class Shard
{
    private readonly ResidentStations residents;
    private readonly Arrivals arrivals;
    private readonly KeyedSources keyed;
    private readonly StationScan scan;
    private readonly Arrival arrival = new();
    private readonly List<Station> dirtyStations = [];
    private readonly HashSet<string> dirtyGlobals = new(StringComparer.Ordinal);
    private readonly StationTimers timers = new();
    private readonly ShardLogs logs = new();

    // Topics by name, with the parts of each that were applied; the one used last.
    private readonly Dictionary<string, AppliedTopic> topics = new(StringComparer.Ordinal);
    private AppliedTopic? topic;

    // Of the next records of a run the stations that their keys name.
    private readonly ExpectedStations expected;

    // A record's batches and those of one of its parts.
    private readonly Rows<BatchReference> bothBatches = new();
    private readonly List<EntityState> emptied = [];
    private readonly List<ModuleCall> withheld = [];
    private readonly HashSet<CallId> running = [];
    // Calls past their time whose code still runs, with the slot that they keep taken.
    private readonly Dictionary<CallId, (Station Station, string Module)> stuck = [];
    private readonly StationSurroundings around;
    private readonly ShardSettings settings;
    private readonly bool isCareful;

    // A global topic calls modules, of every station: none may be passivated.
    private readonly bool keepsAll;
    private long checkpointNumber;
    private long committedNumber;
    private (long Number, IReadOnlyList<OutboxEntry> Entries, int Withheld)? committing;
    private long sweptMs;

    /// <summary>How often windows are searched for what is past its ttl, ms. Calls look for themselves.</summary>
    private const long SweepIntervalMs = 60_000;

    /// <summary>Stations that one order to load names.</summary>
    private const int LoadMost = 500;

    public Shard(ShardSettings settings, RecoveredShard recovered, long nowMs)
    {
        this.settings = settings;
        Id = recovered.Shard;
        Epoch = recovered.Epoch;
        checkpointNumber = committedNumber = recovered.CheckpointNumber;
        sweptMs = nowMs;
        // After a crash a call begins only when the checkpoint with its attempt has committed: else a module that takes
        // the process down would do so for ever, uncounted.
        isCareful = !recovered.ReleasedInOrder;
        PartsLog = new TopicPartition(settings.PartsTopic, Id.Value);
        BatchLog = new TopicPartition(settings.BatchTopic, Id.Value);
        Outputs = new ShardOutputs(Id, Epoch, settings);
        around = new StationSurroundings(settings.Pipeline, Outputs, StartCall);
        Batches = new BatchRegister(settings, Outputs, Marks, BatchLog);
        residents = new ResidentStations(settings.StationsMax, settings.PassivateAfterMs);
        arrivals = new Arrivals(residents);
        expected = new ExpectedStations(residents.Table);
        keyed = new KeyedSources(Id, settings);
        foreach (var declared in settings.Pipeline.Topics.Values) topics[declared.Name] = new AppliedTopic(declared);
        Logs = [.. settings.LogsOf(Id).Except(recovered.NotRead)];
        keepsAll = settings.Pipeline.Topics.Values.Any(topic => topic is { Scope: TopicScope.Global, Triggers: true } && around.TriggeredBy(topic.Name).Count > 0);
        ShardRecovery.Load(this, recovered);
        scan = new StationScan(recovered.CheckpointNumber == 0, keepsAll || IsCounting);
    }

    public ShardId Id { get; }
    public Epoch Epoch { get; }

    public TopicPartition PartsLog { get; }
    public TopicPartition BatchLog { get; }

    /// <summary>All data partitions that are read with the shard: those two, and its own of the sources keyed by station.</summary>
    public IReadOnlyList<TopicPartition> Logs { get; }
    public ShardOutputs Outputs { get; }
    public Marks Marks { get; } = new();
    public BatchRegister Batches { get; }
    internal StationOrders Orders { get; } = new();

    /// <summary>The stations in memory.</summary>
    public IReadOnlyDictionary<string, Station> Stations => residents.Stations;

    /// <summary>The stations that exist, in memory or as rows.</summary>
    public long StationCount { get; internal set; }

    /// <summary>The stations of a state of the first version have not all been counted yet.</summary>
    internal bool IsCounting { get; set; }

    /// <summary>The version of the configuration that the shard runs.</summary>
    public long ConfigurationVersion => settings.ConfigurationVersion;

    /// <summary>
    /// The version by which a record was routed that the shard has met and cannot take: it may concern topics and modules that
    /// only that version knows. From there on nothing is taken; who takes the shard over with that version reads it again.
    /// Null: it has met none.
    /// </summary>
    public long? AwaitedVersion { get; private set; }

    /// <summary>Records that wait for stations to be loaded.</summary>
    public int ArrivalCount => arrivals.Count;

    /// <summary>Every station that owes a call has been loaded since the takeover.</summary>
    public bool IsScanned => scan.IsDone;

    public IReadOnlyDictionary<string, TopicWindow> Globals => around.Globals;
    public IReadOnlyDictionary<TopicPartition, PartitionPosition> Positions => logs.Positions;

    /// <summary>The next offset to apply of one of its data partitions; 0 where nothing was applied yet.</summary>
    public long NextOf(TopicPartition log) => logs.Of(log).Next ?? 0;

    /// <summary>Number of the last checkpoint taken.</summary>
    public long CheckpointNumber => checkpointNumber;

    /// <summary>A checkpoint is under way; the next is taken when its outcome is known.</summary>
    public bool IsCommitting => committing is not null;

    /// <summary>There is something to write.</summary>
    public bool IsDirty =>
        logs.IsDirty || dirtyStations.Count > 0 || Batches.IsDirty || Outputs.IsWaiting || dirtyGlobals.Count > 0 || withheld.Count > 0
        || emptied.Count > 0 || Outputs.Letters.IsDirty || Orders.IsUnsaved;

    /// <summary>Results, calls or an operator wait for the next checkpoint.</summary>
    public bool IsUrgent => Outputs.IsWaiting || withheld.Count > 0 || Orders.IsUnsaved;

    /// <summary>Calls begun and not finished.</summary>
    public int RunningCalls => running.Count;

    /// <summary>Calls past their time whose code still runs.</summary>
    public IEnumerable<(string Station, string Module)> StuckCalls => stuck.Values.Select(slot => (slot.Station.Id, slot.Module));

    /// <summary>Records that senders named as sent and that never came.</summary>
    public long MissingRecords { get; internal set; }

    /// <summary>Parts dropped because they had been seen.</summary>
    public long RepeatedParts { get; private set; }

    /// <summary>Parts applied since the takeover, by topic.</summary>
    public IReadOnlyDictionary<string, long> AppliedByTopic =>
        topics.Values.Where(topic => topic.Count > 0).ToDictionary(topic => topic.Configuration.Name, topic => topic.Count, StringComparer.Ordinal);

    /// <summary>The shard has as much in hand as it may: reading pauses.</summary>
    public bool IsFull => Fullness >= 1;

    /// <summary>What the shard has in hand, as a part of what it may have: 0 nothing, 1 or more all of it.</summary>
    public double Fullness => Math.Max(
        Math.Max(around.OwedCount / (double)settings.CallsMax, (Outputs.Outbox.Bytes + Outputs.ForwardedBytes) / (double)settings.OutboxBytesMax),
        Math.Max(arrivals.Count / (double)settings.ArrivalsMax, arrivals.Bytes / (double)settings.ArrivalBytesMax));

    /// <summary>When the shard next wants to hear of time, ms; null: never.</summary>
    public long? NextDueMs
    {
        get
        {
            var due = sweptMs + SweepIntervalMs;
            if (timers.NextDueMs is { } station) due = Math.Min(due, station);
            if (Batches.NextDueMs is { } batch) due = Math.Min(due, batch);
            return due;
        }
    }

    /// <summary>
    /// Records of one of the shard's data partitions, in order. One of stations that are not in memory waits for them, and all
    /// later ones of its partition with it.
    /// </summary>
    public void Receive(IReadOnlyList<LogRecord> records, long nowMs)
    {
        for (var index = 0; index < records.Count; index++)
        {
            var record = records[index];
            if (index % ExpectedStations.Most == 0) expected.Approach(records, index, record.Partition == PartsLog ? null : TopicOf(record.Partition.Topic)?.Configuration.Name);
            Receive(record, expected.Find(record, index), nowMs);
        }

        // Their bytes may go now.
        expected.Clear();
        logs.Witness();
    }

    private void Receive(in LogRecord record, Station? expectedStation, long nowMs)
    {
        var log = logs.Of(record.Partition);
        // The reader was told to begin at the stored position; an echo from before a seek changes nothing.
        if (AwaitedVersion is not null || record.Offset < log.Received) return;
        if (record.Partition == BatchLog)
        {
            if (!ReceiveBatches(record, nowMs)) return;
            log.Received = record.Offset + 1;
            logs.Advance(log, record);
            return;
        }

        if (TryReceivePlain(record, log, expectedStation, nowMs)) return;
        Read(record, log);
        if (!MayTake(arrival.Rules)) return;
        log.Received = record.Offset + 1;
        if (arrivals.Count > 0 || !FindStations(expectedStation)) arrivals.Enqueue(arrival);
        else ReceiveParts(log, nowMs);
    }

    private void Read(in LogRecord record, ShardLog log)
    {
        if (record.Partition == PartsLog) arrival.ReadEnvelope(record);
        else keyed.Read(record, log.Incarnation, arrival);
    }

    private bool MayTake(long rules)
    {
        if (rules <= settings.ConfigurationVersion) return true;
        AwaitedVersion = rules;
        return false;
    }

    /// <summary>What the store is to be asked for: stations that are needed, and the next page to look through.</summary>
    public void TakeLoads(List<Nodes.NodeEffect> effects)
    {
        if (around.IsClosed) return;
        if (residents.HasLoads)
        {
            foreach (var stations in residents.TakeLoads().Chunk(LoadMost))
            {
                effects.Add(new Nodes.LoadStations(Id, Epoch, stations, StationRows.WindowKeys(stations, settings.Pipeline)));
            }
        }

        if (scan.TakePage() is var (kind, after)) effects.Add(new Nodes.LoadPage(Id, Epoch, kind, after, StationScan.PageSize));
    }

    /// <summary>Stations have been read; those without rows are new. What waited for them goes on.</summary>
    public void StationsLoaded(IReadOnlyList<string> stations, IReadOnlyList<EntityState> rows, long nowMs)
    {
        var byStation = rows.ToLookup(row => row.Kind == EntityKind.Window ? StationRows.StationOf(row.Key) : row.Key, StringComparer.Ordinal);
        foreach (var id in stations)
        {
            if (!residents.EndLoad(id)) continue;
            scan.Loaded(id);
            var station = new Station(id, around) { WakeTimer = timers.Find(id) };
            residents.Add(station, nowMs);
            if (byStation.Contains(id))
            {
                StationRows.Load(station, byStation[id], around);
                if (IsCounting) StationCount++;
                station.IsCounted = true;
                station.Resume(nowMs);
            }

            AfterStation(station);
            foreach (var order in Orders.TakeWaiting(id)) Steer(station, order, nowMs);
        }

        GoOn(nowMs);
    }

    /// <summary>A page of rows that the new owner looks through has been read.</summary>
    public void PageLoaded(EntityKind kind, string? after, IReadOnlyList<EntityState> rows, long nowMs)
    {
        List<string> load = [];
        List<(string Station, long DueMs)> wake = [];
        scan.Page(kind, after, rows, nowMs, load, wake);
        foreach (var id in load)
        {
            if (residents.IsResident(id)) continue;
            scan.Await(id);
            residents.Load(id);
        }

        foreach (var (id, due) in wake)
        {
            if (!residents.IsResident(id)) timers.Set(timers.Of(id), due);
        }

        GoOn(nowMs);
    }

    /// <summary>
    /// Replays or discards dead letters that were read from the store under this owner's epoch, in order of their numbers.
    /// One that is closed already, by whoever was first, is passed over.
    /// </summary>
    public void CloseLetters(IReadOnlyList<DeadLetter> letters, DeadLetterState state, string by, long nowMs)
    {
        foreach (var letter in letters.OrderBy(letter => letter.Id!.Value.Number))
        {
            if (!Outputs.Letters.Close(letter.Id!.Value.Number, state, by, nowMs)) continue;
            if (state == DeadLetterState.Replayed) Outputs.Replay(letter, nowMs);
            Outputs.Raise(new DeadLetterClosed(Id, letter.Id.Value, state, by));
        }
    }

    /// <summary>Time has come to <paramref name="nowMs"/>.</summary>
    public void TimePassed(long nowMs)
    {
        FireTimers(nowMs);
        Batches.TimePassed(nowMs);
        if (nowMs - sweptMs >= SweepIntervalMs) Sweep(nowMs);
    }

    /// <summary>
    /// The shard is to be given up: no more calls begin, those that run may finish. What waits for a call, or for the
    /// checkpoint before its call, is left to the next owner.
    /// </summary>
    public void StopCalls()
    {
        around.IsClosed = true;
        // What waits for stations is read again by the next owner.
        arrivals.Clear();
        residents.Close();
        foreach (var call in withheld) running.Remove(call.Id);
        withheld.Clear();
        if (committing is { } taken) committing = (taken.Number, taken.Entries, 0);
    }

    /// <summary>Takes a checkpoint of all that changed since the last one. Only one may be under way.</summary>
    /// <param name="release">The owner's last one before it gives the shard up in order.</param>
    public ShardCheckpoint TakeCheckpoint(bool release, long nowMs)
    {
        if (committing is not null) throw new InvalidOperationException($"A checkpoint of shard {Id} is under way.");
        if (release) InterruptCalls();
        Outputs.Pack(nowMs);
        checkpointNumber++;
        dirtyStations.RemoveAll(station => !station.IsListed);
        foreach (var station in dirtyStations) (station.SavedIn, station.IsListed) = (checkpointNumber, false);
        var entities = StationRows.SaveChanged(dirtyStations, dirtyGlobals, around, emptied);
        Batches.TakeChanged(entities);
        dirtyStations.Clear();
        dirtyGlobals.Clear();
        emptied.Clear();
        var added = Outputs.Outbox.TakeAdded();
        var expired = Outputs.Letters.TakeExpired(nowMs);
        var checkpoint = new ShardCheckpoint
        {
            Shard = Id,
            Epoch = Epoch,
            Number = checkpointNumber,
            ShardState = ShardRecovery.SaveShard(this),
            Entities = entities,
            Positions = logs.TakeChanged(),
            Marks = Marks.TakeChanged(),
            OutboxAdded = added,
            OutboxRemoved = Outputs.Outbox.TakeRemoved(),
            LettersAdded = Outputs.Letters.TakeAdded(),
            LettersChanged = Outputs.Letters.TakeChanged(),
            LettersExpired = expired,
            // A careful owner that has not seen every owed call hands its care on.
            Release = release && (scan.IsDone || !isCareful),
        };
        committing = (checkpoint.Number, added, withheld.Count);
        Orders.CheckpointTaken(checkpoint.Number);
        return checkpoint;
    }

    /// <summary>The checkpoint has committed: what it recorded may leave, calls that waited for it may begin.</summary>
    public void Committed(long number)
    {
        if (committing is not { } taken || taken.Number != number) return;
        committing = null;
        committedNumber = number;
        Outputs.Outbox.Committed(taken.Entries);
        Orders.Committed(number);
        // Those of stations that were paused or forgotten meanwhile do not begin any more.
        for (var index = 0; index < taken.Withheld; index++)
        {
            if (running.Contains(withheld[index].Id)) Outputs.Calls.Add(withheld[index]);
        }

        withheld.RemoveRange(0, taken.Withheld);
        if (residents.Stations.Count > settings.StationsMax) Passivate(long.MinValue);
    }

    internal StationSurroundings Around => around;

    internal void Restore(PartitionPosition position) => logs.Restore(position);

    internal void Move(PartitionPosition position) => logs.Move(position);

    private void AfterStation(Station station)
    {
        if (!station.IsListed && station.IsDirty)
        {
            station.IsListed = true;
            dirtyStations.Add(station);
        }

        if (station.NextDueMs is { } due) timers.Set(station.WakeTimer ??= timers.Of(station.Id), due);
        else if (station.WakeTimer is { } timer) timer.DueMs = null;
    }

    private void FireTimers(long nowMs)
    {
        while (timers.TakeDue(nowMs) is { } id)
        {
            if (residents.Find(id) is { } station)
            {
                residents.Use(station, nowMs);
                station.TimePassed(nowMs);
                AfterStation(station);
            }
            else if (!around.IsClosed)
            {
                // It sees what is due when it is here.
                residents.Load(id);
            }
        }
    }

    // False where one of them is not in memory.
    private bool FindStations(Station? ofKey = null)
    {
        if (arrival.IsGlobal && !scan.IsDone) return false;
        var parts = arrival.Routed.Parts;
        arrival.Stations.Clear();
        foreach (ref readonly var record in arrival.Own)
        {
            foreach (ref readonly var part in parts.Parts.Of(record.Parts))
            {
                Station? station = null;
                if (Arrival.NeedsStation(record, part))
                {
                    var id = part.Station.Span;
                    station = ofKey is not null && id.SequenceEqual(arrival.Record.Key!.Value.Span) ? ofKey : residents.Find(id);
                    if (station is null) return false;
                }

                arrival.Stations.Add(station);
            }
        }

        return true;
    }

    private bool IsReady(WaitingRecord waiting) => (!waiting.IsGlobal || scan.IsDone) && waiting.Stations.All(residents.IsResident);

    // Stations have come: first what was due to them, then the records that waited for them.
    private void GoOn(long nowMs)
    {
        if (scan.IsDone) IsCounting = false;
        FireTimers(nowMs);
        while (arrivals.TryPeek(out var waiting) && IsReady(waiting))
        {
            var log = logs.Of(waiting.Record.Partition);
            Read(waiting.Record, log);
            FindStations();
            ReceiveParts(log, nowMs);
            arrivals.Dequeue();
        }

        // Those that only a timer woke may have changed nothing, so that no checkpoint comes to passivate them.
        if (arrivals.Count == 0 && residents.Stations.Count > settings.StationsMax) Passivate(long.MinValue);
    }

    private void ReceiveParts(ShardLog log, long nowMs)
    {
        if (arrival.Failure is { } failure) RejectEnvelope(arrival.Record, failure, nowMs);
        // What the record sends elsewhere leaves with the checkpoint that holds the position behind it.
        if (keyed.SendOn(arrival, Outputs) is { } manifest) ReceiveManifest(manifest, nowMs);
        var part = 0;
        foreach (ref readonly var record in arrival.Own)
        {
            ReceiveRecord(record, arrival.Stations.Of(new RoutedParts.Run(part, record.Parts.Count)), log.Partition, nowMs);
            part += record.Parts.Count;
        }

        logs.Advance(log, arrival.Record);
    }

    private void ReceiveRecord(in RoutedParts.Record record, ReadOnlySpan<Station?> stations, TopicPartition log, long nowMs)
    {
        var source = new SourcePartition(record.Topic, record.Incarnation, record.Partition);
        var mark = Marks.Of(log, source);
        NoticeMissing(source, mark, record.PreviousOffset);

        var origin = default(Origin);
        var originMark = record.Origin.Length > 0 && Origin.TryParse(record.Origin, out origin)
            ? Marks.Of(log, new OriginRun(origin.Store, origin.Shard, record.Topic, origin.Partition))
            : null;
        var isTakenBack = originMark is not null && IsTakenBack(origin, record.Topic);
        var routed = arrival.Routed.Parts;
        for (var index = 0; index < record.Parts.Count; index++)
        {
            ref readonly var part = ref routed.Parts[record.Parts.First + index];
            var place = new Place(record.Offset, part.Index, part.Ordinal);
            if (!IsNew(mark, source, place) || isTakenBack) continue;
            // An output of ours that its writer sent twice stands at two offsets; its origin tells. Its batch is that of the
            // first copy, whose answer is given or on its way: one for the repeat could only take that one's place.
            if (originMark is not null && !originMark.Advance(new Place(origin.Sequence, part.Index, part.Ordinal)))
            {
                RepeatedParts++;
                continue;
            }

            var arrived = new PartArrival(
                source, place, record.TimestampMs, routed.Items.MemoryOf(part.Items), BatchesOf(record, part), routed.ItemIndexes.MemoryOf(part.ItemIndexes), record.Replay);
            var times = part.Rejected is null ? TimesOf(source, place) : 1;
            for (var time = 0; time < times; time++) Apply(record, part, stations[index], arrived, mark, nowMs);
        }
    }

    private ReadOnlyMemory<BatchReference> BatchesOf(in RoutedParts.Record record, in RoutedParts.Part part)
    {
        var batches = arrival.Routed.Parts.Batches;
        if (part.Batches.Count == 0) return batches.MemoryOf(record.Batches);
        bothBatches.Clear();
        foreach (var batch in batches.Of(record.Batches)) bothBatches.Add(batch);
        foreach (var batch in batches.Of(part.Batches)) bothBatches.Add(batch);
        return bothBatches.MemoryOf(bothBatches.Since(0));
    }

    private void Apply(in RoutedParts.Record record, in RoutedParts.Part part, Station? station, in PartArrival arrived, Marks.Mark mark, long nowMs)
    {
        if (part.Rejected is { } rejected)
        {
            var form = rejected.Form > 0 ? (RejectedForm)rejected.Form : part.Index > 0 ? RejectedForm.Item : RejectedForm.Record;
            var letter = arrived.Letter(0, form, IdOf(part), new Rejection(rejected.Code, rejected.Detail), rejected.Bytes.Memory, nowMs);
            Outputs.Reject(letter with { Length = rejected.Length, Checksum = rejected.Checksum });
            return;
        }

        var name = record.Replay?.Topic ?? record.Topic;
        // A topic may have been declared anew as the other kind since the part was routed.
        if (TopicOf(name) is not { } applied || (applied.Configuration.Scope == TopicScope.Global) != record.Global)
        {
            var unknown = new Rejection("unknown-topic", "the pipeline does not declare this topic");
            var form = record.Global ? RejectedForm.Record : RejectedForm.Item;
            for (var item = 0; item < arrived.Items.Length; item++) Outputs.Reject(arrived.Letter(item, form, IdOf(part), unknown, arrived.Items.Span[item], nowMs));
            if (!record.Global) Station.AnswerNothing(Outputs, IdOf(part), arrived, "the topic is gone", nowMs);
            return;
        }

        if (!record.Global)
        {
            ApplyToStation(applied, station!, arrived, mark, nowMs);
            return;
        }

        NoteApplied(applied, IdOf(part), arrived, mark);
        ApplyGlobal(applied.Configuration, arrived, nowMs);
    }

    private static string IdOf(in RoutedParts.Part part) => System.Text.Encoding.UTF8.GetString(part.Station.Span);

    private AppliedTopic? TopicOf(string name)
    {
        if (topic is not null && topic.Configuration.Name == name) return topic;
        return topics.TryGetValue(name, out var found) ? topic = found : null;
    }

    private void ApplyGlobal(TopicConfiguration topic, in PartArrival arrival, long nowMs)
    {
        if (!around.Globals.TryGetValue(topic.Name, out var window))
        {
            around.Globals.Add(topic.Name, window = TopicWindows.Create(topic, settings.Pipeline.TimeZone));
        }

        var change = window.Apply(arrival.Items.Span, arrival.TimestampMs, nowMs);
        // Every shard gets a global record; the first one speaks for all of what is wrong with it.
        if (Id.Value == 0)
        {
            foreach (var item in change.Rejected)
            {
                // A global record is one item: the record itself.
                var form = item.Form == RejectedForm.Element ? RejectedForm.Element : RejectedForm.Record;
                Outputs.Reject(arrival.Letter(item.Index, form, "", item.Reason, item.Bytes, nowMs));
            }
        }

        if (!change.Changed) return;
        dirtyGlobals.Add(topic.Name);
        Outputs.Raise(new GlobalCached(Id, topic.Name));
        if (StationCount > 0) Outputs.Raise(new GlobalApplied(Id, topic.Name, (int)StationCount));
        foreach (var station in residents.Stations.Values)
        {
            if (!topic.Triggers && station.TriggerCount == 0) continue;
            station.GlobalChanged(topic, nowMs);
            AfterStation(station);
        }
    }

    /// <summary>An output of ours from after the backup that the store was restored from: it is written again.</summary>
    private bool IsTakenBack(in Origin origin, string topic)
    {
        if (!settings.Earlier.TookBack(origin, topic)) return false;
        Outputs.Raise(new OutputTakenBack(Id, origin, topic));
        return true;
    }

    // A sender names the offset that it sent before: one above the mark never came.
    private void NoticeMissing(SourcePartition source, Marks.Mark mark, long previousOffset)
    {
        if (previousOffset <= mark.Highest.Offset) return;
        MissingRecords++;
        Outputs.Raise(new RecordMissing(Id, source, previousOffset));
    }

    private void RejectEnvelope(in LogRecord record, string detail, long nowMs) =>
        Outputs.Reject(DeadLetter.Of(
            new SourcePartition(record.Partition.Topic, 0, record.Partition.Partition), record.Offset, 0, "", new Rejection("bad-envelope", detail), record.Value, nowMs));

    private void Sweep(long nowMs)
    {
        sweptMs = nowMs;
        Outputs.Letters.TimePassed(nowMs);
        for (var index = 0; index < residents.Table.Count;)
        {
            residents.Table.PrefetchFrom(index);
            var station = residents.Table.At(index);
            station.Expire(nowMs);
            AfterStation(station);
            if (!station.IsEmpty || Orders.IsUnderWay(station.Id))
            {
                index++;
                continue;
            }

            // Another one takes its place.
            residents.Remove(station);
            if (station.WakeTimer is { } timer) timer.DueMs = null;
            station.IsListed = false;
            if (station.IsCounted) StationCount--;
            StationRows.Delete(station, emptied);
        }

        Passivate(nowMs - settings.PassivateAfterMs);
    }

    private void Passivate(long idleSinceMs)
    {
        if (keepsAll || !scan.IsDone) return;
        var count = residents.Passivate(idleSinceMs, committedNumber);
        if (count > 0) Outputs.Raise(new StationsPassivated(Id, count));
    }
}
