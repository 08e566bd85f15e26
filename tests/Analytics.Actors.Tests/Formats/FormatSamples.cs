using Analytics.Actors.Core.Protocol;
using Google.Protobuf;

namespace Analytics.Actors.Tests.Formats;

/// <summary>What the golden bytes hold, as today's messages: every field that version 0.1 wrote has a value of its own.</summary>
internal static class FormatSamples
{
    public static IReadOnlyDictionary<string, IMessage> Messages { get; } = new Dictionary<string, IMessage>
    {
        ["parts-envelope"] = new PartsEnvelope
        {
            Records =
            {
                new RecordParts
                {
                    Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3_000_000_000, TimestampMs = 1_763_000_000_000, PreviousOffset = -1,
                    Origin = "c0decafe0123.4.5.6",
                    Batches = { new BatchReference { Module = "m", BatchId = "METERS:2:3000000000" } },
                    Parts =
                    {
                        new Part { Station = "站点1", Index = 7, Ordinal = 8, Items = { Text("""{"a":1}"""), Text("""{"b":2}""") } },
                        new Part { Index = 9, Rejected = new RejectedPart { Code = "no-id", Detail = "why", Bytes = Text("xyz"), Length = 70_000, Checksum = 0xfedcba98 } },
                    },
                },
                new RecordParts { Topic = "CALENDAR", Global = true, PreviousOffset = 5, Parts = { new Part { Items = { Text("{}") } } } },
            },
        },
        ["batch-envelope-manifests"] = new BatchEnvelope
        {
            Manifests =
            {
                new Manifest
                {
                    Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3, PreviousOffset = 4, Index = 5, BatchId = "METERS:2:3",
                    Modules = { "m", "n" }, Stations = { "S1", "S2" }, Origin = "c0decafe0123.4.5.6",
                },
            },
        },
        ["batch-envelope-answers"] = new BatchEnvelope
        {
            Origin = "c0decafe0123.0.1.2",
            Answers =
            {
                new Answer
                {
                    Module = "m", BatchId = "METERS:2:3", Station = "S1", Outcome = Outcome.Result, Result = Text("""{"x":1}"""),
                    Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3, Attempt = 4,
                },
                new Answer { Module = "m", BatchId = "METERS:2:3", Station = "S2", Outcome = Outcome.Nothing, Reason = "not ready", Topic = "METERS", Partition = 2, Offset = 3 },
                new Answer { Module = "m", BatchId = "METERS:2:3", Station = "S3", Outcome = Outcome.Error, Reason = "broken", Topic = "METERS", Partition = 2, Offset = 3 },
            },
        },
        ["shard-state"] = new ShardState
        {
            NextTrigger = 44, MissingRecords = 2, LateAnswers = 3,
            Destinations =
            {
                new DestinationState { Topic = "MODULE-OUTPUT-M", Partition = 1, NextSequence = 12 },
                new DestinationState { Topic = "core.batch-results", Partition = 0, NextSequence = 9 },
            },
        },
        ["station-state"] = new StationState
        {
            Triggers =
            {
                // A call that failed once and whose window has moved on since its trigger.
                new TriggerState
                {
                    Id = 41, Module = "m", Attempts = 1, Failures = 1, CapturedMs = 1_763_000_000_500,
                    Batches = { new OpenBatch { BatchId = "METERS:2:3", Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3 } },
                    Topics =
                    {
                        new CapturedTopic { Topic = "METERS", Status = 1, AgeSeconds = 0.25, Json = Text("""{"value":1}"""), Superseded = true },
                        new CapturedTopic { Topic = "PARAMS", Status = 1, AgeSeconds = 3.5 },
                    },
                },
                // One that waits for missing topics, with the second of orders that it delivers.
                new TriggerState
                {
                    Id = 42, Module = "o", IncompleteDueMs = 1_763_000_009_000,
                    Topics = { new CapturedTopic { Topic = "ORDERS", Status = 1, Json = Text("""{"car_order":[{"no":1}]}"""), Superseded = true } },
                },
            },
            Waiting =
            {
                new WaitingSecond
                {
                    Topic = "ORDERS", Second = 1_763_000_000,
                    Batches = { new WaitingBatch { Module = "o", Batch = new OpenBatch { BatchId = "ORDERS:0:7", Topic = "ORDERS", Offset = 7 } } },
                },
            },
            Intervals = { new IntervalState { Module = "i", DueMs = 1_763_000_060_000 } },
        },
        ["batch-state"] = new BatchState
        {
            Module = "m", Batch = new OpenBatch { BatchId = "METERS:2:3", Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 3 },
            ManifestSeen = true, OpenedMs = 1_763_000_000_000, DeadlineMs = 1_763_000_005_000, Expected = { "S1", "S2", "S3" },
            Answers =
            {
                new BatchAnswerState { Station = "S1", Outcome = 1, Result = Text("""{"x":1}""") },
                new BatchAnswerState { Station = "S2", Outcome = 3, Reason = "broken" },
            },
        },
        ["batch-state-held"] = new BatchState
        {
            Module = "m", Batch = new OpenBatch { BatchId = "METERS:2:4", Topic = "METERS", Incarnation = 1, Partition = 2, Offset = 4 },
            Answers = { new BatchAnswerState { Station = "S1", Outcome = 2, Reason = "not ready" } },
        },
        ["window-entries"] = new WindowState
        {
            Entries = new EntriesState
            {
                Entries = { new EntryState { TimeMs = 1_763_000_000_000, Item = Text("""{"value":2}""") }, new EntryState { TimeMs = 1_763_000_000_001, Item = Text("""{"value":3}""") } },
            },
        },
        ["window-grid"] = new WindowState
        {
            Grid = new GridState
            {
                EndLocalMs = 1_763_028_000_000, PeriodMs = 3_600_000, WithT = true, AppliedMs = 1_763_000_000_000,
                Keys = { Text("\"01\""), Text("2") }, Rows = { 2, 0 }, RowTimesLocalMs = { 1_763_020_860_000, 1_763_028_060_000 },
                Columns =
                {
                    new GridColumnState { Source = "avg", Keyed = true, Values = Doubles(1.5, 2.5, double.NaN, 4.5) },
                    new GridColumnState { Source = "total", Values = Doubles(9007199254740992, 7), Exact = { new ExactNumberState { Index = 0, Text = Text("9007199254740993") } } },
                },
            },
        },
        ["window-devices"] = new WindowState
        {
            Devices = new DevicesState
            {
                Devices =
                {
                    new DeviceState { Device = "H1", TimeMs = 1_763_000_000_000, Item = Text("""{"hostCode":"H1","power":1}""") },
                    new DeviceState { Device = "H2", TimeMs = 1_763_000_000_001, Item = Text("""{"hostCode":"H2","power":2}""") },
                },
            },
        },
        ["window-seconds"] = new WindowState
        {
            Seconds = new SecondsState
            {
                Open = new SecondState { Second = 1_763_000_001, NewestTimeMs = 1_763_000_001_500, Items = { Text("""{"no":2}"""), Text("""{"no":3}""") } },
                Closed = new SecondState { Second = 1_763_000_000, NewestTimeMs = 1_763_000_000_100, Items = { Text("""{"no":1}""") } },
                LastDelivered = 1_763_000_000, LastArrivalMs = 1_763_000_001_600, LateCount = 1,
            },
        },
    };

    private static ByteString Text(string text) => ByteString.CopyFromUtf8(text);

    private static ByteString Doubles(params double[] values) => ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()));
}
