using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;

namespace Analytics.Actors.Tests.Storage;

/// <summary>
/// What every checkpoint store must do, whatever its database. A derived class says how to make a database and how to
/// connect to it; two connections stand for two nodes, a new connection after closing one for a restart.
/// </summary>
public abstract partial class CheckpointStoreConformance : IAsyncLifetime
{
    protected const string Group = "analytics";
    protected const int ShardCount = 4;
    protected static readonly ShardId Zero = new(0);
    protected static readonly ShardId One = new(1);
    private static readonly TopicPartition Events = new("analytics.station-events", 0);
    private static readonly TopicPartition Results = new("analytics.batch-results", 3);
    private static readonly TopicPartition Upload = new("MODULE-OUTPUT-PV_PREDICTION", 7);

    private readonly List<ICheckpointStore> connections = [];
    protected ICheckpointStore Store { get; private set; } = null!;

    /// <summary>A connection to this test's database, not opened yet.</summary>
    protected abstract ICheckpointStore Connect();

    protected virtual void DeleteDatabase() { }

    public async Task InitializeAsync() => Store = await OpenAsync();

    public async Task DisposeAsync()
    {
        foreach (var connection in connections) await connection.DisposeAsync();
        DeleteDatabase();
    }

    protected async Task<ICheckpointStore> OpenAsync()
    {
        var store = Connect();
        connections.Add(store);
        await store.OpenAsync(Group, ShardCount, default);
        return store;
    }

    protected async Task<ICheckpointStore> RestartAsync()
    {
        await Store.DisposeAsync();
        return Store = await OpenAsync();
    }

    [Fact]
    public async Task Store_id_is_twelve_hex_digits_and_stays()
    {
        var first = await Store.OpenAsync(Group, ShardCount, default);
        await RestartAsync();
        var second = await Store.OpenAsync(Group, ShardCount, default);
        first.StoreId.ShouldMatch("^[0-9a-f]{12}$");
        second.ShouldBe(first);
    }

    [Fact]
    public async Task Another_shard_count_is_refused_and_the_right_one_named()
    {
        var refusal = await Should.ThrowAsync<StoreRefusedException>(async () => await Connect().OpenAsync(Group, ShardCount + 1, default));
        refusal.Message.ShouldContain("4 shards");
        refusal.Message.ShouldContain("opened with 5");
        await Store.OpenAsync(Group, ShardCount, default);
    }

    [Fact]
    public async Task Another_group_is_refused_and_the_right_one_named()
    {
        var refusal = await Should.ThrowAsync<StoreRefusedException>(async () => await Connect().OpenAsync("others", ShardCount, default));
        refusal.Message.ShouldContain("'analytics'");
        refusal.Message.ShouldContain("'others'");
    }

    [Fact]
    public async Task A_new_shard_is_empty_and_counts_as_released()
    {
        var shard = await TakeOver(new ShardId(3));
        shard.Shard.ShouldBe(new ShardId(3));
        shard.Epoch.ShouldBe(new Epoch(1));
        shard.CheckpointNumber.ShouldBe(0);
        shard.ReleasedInOrder.ShouldBeTrue();
        shard.ShardState.ShouldBeEmpty();
        shard.Entities.ShouldBeEmpty();
        shard.Positions.ShouldBeEmpty();
        shard.Marks.ShouldBeEmpty();
        shard.Outbox.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(ShardCount)]
    public async Task A_shard_outside_the_count_does_not_exist(int shard)
    {
        await Should.ThrowAsync<ArgumentOutOfRangeException>(async () => await TakeOver(new ShardId(shard)));
        await Should.ThrowAsync<ArgumentOutOfRangeException>(async () => await Commit(Checkpoint(new ShardId(shard), 0, 1)));
    }

    [Fact]
    public async Task A_checkpoint_comes_back_whole_after_a_restart()
    {
        var owner = await TakeOver(Zero);
        var checkpoint = Checkpoint(Zero, owner.Epoch.Value, 1) with
        {
            ShardState = [1, 2, 3],
            Entities = [Station("b", "B"), Station("a", "A"), Entity(EntityKind.Global, "CALENDAR", "G"), Entity(EntityKind.Batch, "pv\u001fx:0:1", "P"), Entity(EntityKind.Window, "a\u001fREALTIME", "W")],
            Positions = [new(Results, 12, 1700000000123, uint.MaxValue, 7), new(Events, long.MaxValue, -1, 0)],
            Marks =
            [
                new(Events, "WEATHER[0]#2", new Place(41, 3, 1), 977, ulong.MaxValue - 5),
                new(Results, "0123456789ab.1.0", Place.None, 0, 0),
                new(Events, "PARAM[0]#0", new Place(7, 0, 0), 8, 1),
            ],
            OutboxAdded = [Output(Upload, 5, "five"), Output(Results, 1, "one")],
        };
        (await Commit(checkpoint)).ShouldBe([CheckpointOutcome.Committed]);

        await RestartAsync();
        var recovered = await TakeOver(Zero);

        recovered.Epoch.ShouldBe(new Epoch(2));
        recovered.CheckpointNumber.ShouldBe(1);
        recovered.ReleasedInOrder.ShouldBeFalse();
        recovered.ShardState.ShouldBe([1, 2, 3]);
        recovered.Entities.Select(Print).ShouldBe(["Station a=A", "Station b=B", "Batch pv\u001fx:0:1=P", "Global CALENDAR=G"]);
        recovered.Positions.ShouldBe([checkpoint.Positions[0], checkpoint.Positions[1]]);
        recovered.Marks.ShouldBe([checkpoint.Marks[1], checkpoint.Marks[2], checkpoint.Marks[0]]);
        recovered.Outbox.Select(Print).ShouldBe([Print(checkpoint.OutboxAdded[0]), Print(checkpoint.OutboxAdded[1])]);
        (await Read(Zero, EntityKind.Window)).ShouldBe(["Window a\u001fREALTIME=W"]);
    }

    [Fact]
    public async Task Changed_rows_replace_the_old_ones_and_the_others_stay()
    {
        var owner = await TakeOver(Zero);
        var epoch = owner.Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with
        {
            ShardState = [1],
            Entities = [Station("a", "1"), Station("b", "1")],
            Positions = [new(Events, 10, 1, 1), new(Results, 10, 1, 1)],
            Marks = [new(Events, "x", new Place(1, 0, 0), 1, 1), new(Events, "y", new Place(1, 0, 0), 1, 1)],
        });
        await Commit(Checkpoint(Zero, epoch, 2) with
        {
            ShardState = [],
            Entities = [Station("b", "2")],
            Positions = [new(Events, 20, 2, 2)],
            Marks = [new(Events, "y", new Place(2, 1, 1), 2, 2)],
        });

        var recovered = await TakeOver(Zero);
        recovered.CheckpointNumber.ShouldBe(2);
        recovered.ShardState.ShouldBeEmpty();
        recovered.Entities.Select(Print).ShouldBe(["Station a=1", "Station b=2"]);
        (await Store.ReadPositionsAsync(default)).ShouldBe([new(Results, 10, 1, 1), new(Events, 20, 2, 2)], ignoreOrder: true);
        recovered.Positions.ShouldBe([new(Results, 10, 1, 1), new(Events, 20, 2, 2)]);
        recovered.Marks.ShouldBe([new(Events, "x", new Place(1, 0, 0), 1, 1), new(Events, "y", new Place(2, 1, 1), 2, 2)]);
    }

    [Fact]
    public async Task A_null_state_deletes_and_the_last_change_of_a_key_wins()
    {
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { Entities = [Station("gone", "1"), Station("kept", "1"), Entity(EntityKind.Window, "gone", "w")] });
        await Commit(Checkpoint(Zero, epoch, 2) with
        {
            Entities = [new(EntityKind.Station, "gone", null), new(EntityKind.Station, "never was", null), Station("kept", "2"), Station("kept", "3"), Station("brief", "1"), new(EntityKind.Station, "brief", null)],
        });
        (await Read(Zero, EntityKind.Station)).ShouldBe(["Station kept=3"]);
        (await Read(Zero, EntityKind.Window)).ShouldBe(["Window gone=w"]);
    }

    [Fact]
    public async Task An_empty_state_is_a_state_and_not_a_deletion()
    {
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { Entities = [new(EntityKind.Station, "a", [])] });
        var entity = (await Store.ReadEntitiesAsync(Zero, EntityKind.Station, ["a"], default)).ShouldHaveSingleItem();
        entity.State.ShouldNotBeNull().ShouldBeEmpty();
    }

    [Fact]
    public async Task Reading_by_kind_and_keys_finds_just_those()
    {
        var zero = (await TakeOver(Zero)).Epoch.Value;
        var one = (await TakeOver(One)).Epoch.Value;
        await Commit(
            Checkpoint(Zero, zero, 1) with { Entities = [Entity(EntityKind.Window, "a\u001fX", "ax"), Entity(EntityKind.Window, "a\u001fY", "ay"), Entity(EntityKind.Window, "b\u001fX", "bx"), Station("a\u001fX", "other kind")] },
            Checkpoint(One, one, 1) with { Entities = [Entity(EntityKind.Window, "a\u001fX", "other shard")] });

        (await Read(Zero, EntityKind.Window, "b\u001fX", "missing", "a\u001fX")).ShouldBe(["Window b\u001fX=bx", "Window a\u001fX=ax"]);
        (await Read(Zero, EntityKind.Window)).ShouldBe(["Window a\u001fX=ax", "Window a\u001fY=ay", "Window b\u001fX=bx"]);
        (await Read(Zero, EntityKind.Batch)).ShouldBeEmpty();
        (await Store.ReadEntitiesAsync(Zero, EntityKind.Window, [], default)).ShouldBeEmpty();
        (await Read(One, EntityKind.Window, "a\u001fX")).ShouldBe(["Window a\u001fX=other shard"]);
    }

    [Fact]
    public async Task A_takeover_reads_batches_and_globals_and_no_stations()
    {
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with
        {
            Entities = [Station("a", "1"), Entity(EntityKind.Window, "a", "w"), Entity(EntityKind.Global, "CALENDAR", "g"), Entity(EntityKind.Batch, "m", "b")],
        });
        (await Store.TakeOverAsync(Zero, "node-2", default)).Entities.Select(Print).ShouldBe(["Batch m=b", "Global CALENDAR=g"]);
    }

    [Fact]
    public async Task Pages_of_a_kind_are_in_order_of_bytes_and_hold_every_entity_once()
    {
        string[] keys = ["", "a", "a\u001fX", "b", "\u00e9", "\uffee", "\U0001F50B"];
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { Entities = [.. keys.Reverse().Select(key => Station(key, "s")), Entity(EntityKind.Window, "a", "other kind")] });
        foreach (var limit in new[] { 1, 3, 7, 100 })
        {
            List<string> found = [];
            for (string? after = null; ;)
            {
                var page = await Store.ReadPageAsync(Zero, EntityKind.Station, after, limit, default);
                page.Count.ShouldBeLessThanOrEqualTo(limit);
                if (page.Count == 0) break;
                found.AddRange(page.Select(entity => entity.Key));
                after = page[^1].Key;
            }

            found.ShouldBe(keys);
        }

        (await Store.ReadPageAsync(One, EntityKind.Station, null, 10, default)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Odd_keys_stay_what_they_are()
    {
        string[] keys =
        [
            "", " ", "station\u001fSCHEDULE-DEVICE-GUN", "nul\0inside", "nul\0inside too", "nul", "\0", "quote'\"\\%_", "e\u0301", "\u00e9", "充电站一号", "⚡\U0001F50B\U0001F50C",
            "\uffee", "\U0001F50B", new string('x', 256), new string('x', 255) + 'y', string.Concat(Enumerable.Repeat("\U0001F50B", 64)), new string('充', 5000), "Station", "station",
        ];
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { Entities = [.. keys.Select((key, i) => Station(key, $"{i}"))] });
        await RestartAsync();

        for (var i = 0; i < keys.Length; i++)
            (await Read(Zero, EntityKind.Station, keys[i])).ShouldBe([$"Station {keys[i]}={i}"]);
        var inOrderOfBytes = keys.OrderBy(key => Convert.ToHexString(Encoding.UTF8.GetBytes(key)), StringComparer.Ordinal);
        (await Store.ReadEntitiesAsync(Zero, EntityKind.Station, null, default)).Select(entity => entity.Key).ShouldBe(inOrderOfBytes);
    }

    [Fact]
    public async Task An_entity_of_ten_megabytes_is_an_entity()
    {
        var state = new byte[10 * 1024 * 1024];
        new Random(5).NextBytes(state);
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { Entities = [new(EntityKind.Window, "big", state)] });
        await RestartAsync();
        var entity = (await Store.ReadEntitiesAsync(Zero, EntityKind.Window, ["big"], default)).ShouldHaveSingleItem();
        entity.State.AsSpan().SequenceEqual(state).ShouldBeTrue();
    }

    [Fact]
    public async Task Stored_bytes_are_neither_the_writers_nor_the_readers_array()
    {
        byte[] state = [1], shardState = [1], value = [1];
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { ShardState = shardState, Entities = [new(EntityKind.Station, "a", state)], OutboxAdded = [new(Upload, 1, null, value, [], 0)] });
        state[0] = shardState[0] = value[0] = 2;
        var first = await TakeOver(Zero);
        first.Entities[0].State![0] = first.ShardState[0] = first.Outbox[0].Value[0] = 3;
        var second = await TakeOver(Zero);
        (second.Entities[0].State![0], second.ShardState[0], second.Outbox[0].Value[0]).ShouldBe(((byte)1, (byte)1, (byte)1));
    }

    [Fact]
    public async Task The_outbox_comes_back_by_destination_and_sequence()
    {
        TopicPartition other = new("A-TOPIC", 10), lower = new("A-TOPIC", 9);
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { OutboxAdded = [Output(Upload, 2, "u2"), Output(other, 11, "o11"), Output(other, 9, "o9")] });
        await Commit(Checkpoint(Zero, epoch, 2) with { OutboxAdded = [Output(Upload, 1, "u1"), Output(lower, 300, "l300"), Output(other, 10, "o10")] });
        (await TakeOver(Zero)).Outbox.Select(entry => (entry.Destination, entry.Sequence)).ShouldBe(
            [(lower, 300L), (other, 9L), (other, 10L), (other, 11L), (Upload, 1L), (Upload, 2L)]);
    }

    [Fact]
    public async Task An_acknowledgement_removes_the_prefix_of_its_destination_only()
    {
        var zero = (await TakeOver(Zero)).Epoch.Value;
        var one = (await TakeOver(One)).Epoch.Value;
        var elsewhere = Upload with { Partition = 8 };
        await Commit(
            Checkpoint(Zero, zero, 1) with { OutboxAdded = [Output(Upload, 1, ""), Output(Upload, 2, ""), Output(Upload, 3, ""), Output(elsewhere, 1, "")] },
            Checkpoint(One, one, 1) with { OutboxAdded = [Output(Upload, 1, "")] });
        await Commit(Checkpoint(Zero, zero, 2) with { OutboxRemoved = [new(Upload, 2)], OutboxAdded = [Output(Upload, 4, "")] });

        (await TakeOver(Zero)).Outbox.Select(entry => (entry.Destination, entry.Sequence)).ShouldBe([(Upload, 3L), (Upload, 4L), (elsewhere, 1L)]);
        (await TakeOver(One)).Outbox.Select(entry => entry.Sequence).ShouldBe([1L]);
    }

    [Fact]
    public async Task An_outbox_entry_keeps_key_headers_and_their_order()
    {
        OutboxEntry plain = new(Upload, 1, null, [], [], -1);
        OutboxEntry full = new(Upload, 2, [0, 255], Encoding.UTF8.GetBytes("{}"),
            [new("aa-origin", "0123456789ab.0.7.2"), new("aa-batch", "REALTIME:0:5"), new("again", "<&+\"\\ 充电站 \U0001F50B\0"), new("again", ""), new("", "empty name")], 1700000000000);
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Checkpoint(Zero, epoch, 1) with { OutboxAdded = [plain, full] });
        await RestartAsync();
        var outbox = (await TakeOver(Zero)).Outbox;
        outbox[0].Key.ShouldBeNull();
        outbox[1].Key.ShouldBe([0, 255]);
        outbox.Select(Print).ShouldBe([Print(plain), Print(full)]);
    }

    [Fact]
    public async Task A_sequence_given_twice_is_our_bug_and_the_whole_group_stays_as_it_was()
    {
        var zero = (await TakeOver(Zero)).Epoch.Value;
        var one = (await TakeOver(One)).Epoch.Value;
        await Commit(Checkpoint(One, one, 1) with { OutboxAdded = [Output(Upload, 1, "first")] });
        var failure = await Should.ThrowAsync<InvalidOperationException>(() => Commit(
            Checkpoint(Zero, zero, 1) with { Entities = [Station("a", "A")] },
            Checkpoint(One, one, 2) with { OutboxAdded = [Output(Upload, 1, "second")] }));
        failure.Message.ShouldContain("Shard 1");

        (await TakeOver(Zero)).CheckpointNumber.ShouldBe(0);
        (await Read(Zero, EntityKind.Station)).ShouldBeEmpty();
        (await TakeOver(One)).Outbox.Select(Print).ShouldBe([Print(Output(Upload, 1, "first"))]);
    }

    [Fact]
    public async Task Two_checkpoints_of_one_shard_are_not_a_group()
    {
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Should.ThrowAsync<ArgumentException>(() => Commit(Checkpoint(Zero, epoch, 1), Checkpoint(Zero, epoch, 2)));
        (await TakeOver(Zero)).CheckpointNumber.ShouldBe(0);
    }

    [Fact]
    public async Task After_a_takeover_the_old_owner_is_fenced_and_changes_nothing()
    {
        var other = await OpenAsync();
        var old = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Full(Zero, old, 1, "by the old owner"));
        var before = Print(await other.TakeOverAsync(Zero, "node-2", default));

        (await Commit(Full(Zero, old, 2, "too late"))).ShouldBe([CheckpointOutcome.Fenced]);

        var after = await other.TakeOverAsync(Zero, "node-2", default);
        Print(after).ShouldBe(before);
        (await Read(Zero, EntityKind.Window)).ShouldBe(["Window by the old owner=by the old owner"]);
        (await other.CommitAsync([Full(Zero, after.Epoch.Value, 2, "by the new owner")], default)).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Theory]
    [InlineData(1)] // repeated
    [InlineData(3)] // one is missing
    [InlineData(0)]
    public async Task Another_number_than_the_next_is_fenced(long number)
    {
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        await Commit(Full(Zero, epoch, 1, "first"));
        (await Commit(Full(Zero, epoch, number, "wrong"))).ShouldBe([CheckpointOutcome.Fenced]);
        var recovered = await TakeOver(Zero);
        recovered.CheckpointNumber.ShouldBe(1);
        recovered.Entities.Select(Print).ShouldBe(["Station first=first"]);
    }

    [Fact]
    public async Task An_epoch_that_was_never_given_out_is_fenced()
    {
        (await Commit(Checkpoint(Zero, 1, 1))).ShouldBe([CheckpointOutcome.Fenced]);
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        (await Commit(Checkpoint(Zero, epoch + 1, 1))).ShouldBe([CheckpointOutcome.Fenced]);
        (await Commit(Checkpoint(Zero, epoch, 1))).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Fact]
    public async Task In_a_group_commit_the_fenced_shard_drops_out_and_the_others_commit()
    {
        var epochs = new long[ShardCount];
        for (var i = 0; i < ShardCount; i++) epochs[i] = (await TakeOver(new ShardId(i))).Epoch.Value;
        await TakeOver(One);

        var outcomes = await Commit([.. Enumerable.Range(0, ShardCount).Reverse().Select(i => Full(new ShardId(i), epochs[i], 1, $"{i}"))]);

        outcomes.ShouldBe([CheckpointOutcome.Committed, CheckpointOutcome.Committed, CheckpointOutcome.Fenced, CheckpointOutcome.Committed]);
        for (var i = 0; i < ShardCount; i++)
        {
            var recovered = await TakeOver(new ShardId(i));
            recovered.CheckpointNumber.ShouldBe(i == 1 ? 0 : 1);
            recovered.Entities.Select(Print).ShouldBe(i == 1 ? [] : [$"Station {i}={i}"]);
            recovered.Outbox.Count.ShouldBe(i == 1 ? 0 : 1);
            recovered.Positions.Count.ShouldBe(i == 1 ? 0 : 1);
            recovered.Marks.Count.ShouldBe(i == 1 ? 0 : 1);
        }
    }

    [Fact]
    public async Task A_group_of_none_and_a_group_of_fenced_ones_change_nothing()
    {
        (await Commit()).ShouldBeEmpty();
        (await Commit(Full(Zero, 9, 1, "x"), Full(One, 9, 1, "x"))).ShouldBe([CheckpointOutcome.Fenced, CheckpointOutcome.Fenced]);
        (await TakeOver(Zero)).Entities.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_release_is_remembered_until_the_next_takeover()
    {
        var first = await TakeOver(Zero);
        await Commit(Checkpoint(Zero, first.Epoch.Value, 1) with { Release = true });
        await RestartAsync();
        var second = await TakeOver(Zero);
        second.ReleasedInOrder.ShouldBeTrue();
        var third = await TakeOver(Zero);
        third.ReleasedInOrder.ShouldBeFalse();

        await Commit(Checkpoint(Zero, third.Epoch.Value, 2) with { Release = true });
        await Commit(Checkpoint(Zero, third.Epoch.Value, 3));
        (await TakeOver(Zero)).ReleasedInOrder.ShouldBeFalse();
    }

    [Fact]
    public async Task Routing_rules_are_pinned_and_new_ones_are_added()
    {
        (await Store.PinRulesAsync([new("topic A", "envelope Object"), new("topic B", "envelope List")], default)).ShouldBeEmpty();
        (await Store.PinRulesAsync([new("topic A", "envelope Object"), new("topic C", "envelope List")], default)).ShouldBeEmpty();
        (await Store.PinRulesAsync([new("topic A", "envelope List"), new("topic C", "envelope List"), new("topic D", "new")], default))
            .ShouldBe([new ChangedRule("topic A", "envelope Object", "envelope List")]);
        (await Store.PinRulesAsync([new("topic D", "newer")], default)).ShouldBeEmpty("the refused change has pinned nothing");
        (await Store.PinRulesAsync([new("topic B", "other")], default)).Single().Stored.ShouldBe("envelope List");
    }

    [Fact]
    public async Task Sources_are_upserted_and_listed()
    {
        (await Store.UpdateSourcesAsync([], default)).ShouldBeEmpty();
        SourceState first = new(new("WEATHER", 0), 3, 0), second = new(new("PARAM", 11), 12, 1, 5, 900, "trimmed: 充"), third = new(new("PARAM", 2), 12, 0);
        (await Store.UpdateSourcesAsync([first, second], default)).ShouldBe([second, first]);
        var raised = first with { Incarnation = 1, GapFrom = 0, GapTo = 17, GapReason = "recreated" };
        (await Store.UpdateSourcesAsync([raised, third], default)).ShouldBe([third, second, raised]);
        await RestartAsync();
        (await Store.UpdateSourcesAsync([], default)).ShouldBe([third, second, raised]);
    }

    [Fact]
    public async Task An_incarnation_never_falls()
    {
        SourceState raised = new(new("PARAM", 0), 3, 2, 0, 5, "recreated");
        await Store.UpdateSourcesAsync([raised], default);
        (await Store.UpdateSourcesAsync([raised with { Incarnation = 1, GapFrom = -1 }], default)).ShouldBe([raised]);
        (await Store.UpdateSourcesAsync([raised with { GapTo = 6 }], default)).ShouldBe([raised with { GapTo = 6 }]);
    }

    [Fact]
    public async Task A_source_keeps_its_position_with_the_record_before_it_and_when_and_why_it_was_moved()
    {
        var source = new SourceState(new("PARAM", 0), 3, 2, 40, -1, "set to 7 by 张: again")
        {
            GapAtMs = 1_763_000_000_000, Next = long.MaxValue, LastTimestampMs = 1_762_999_999_999, LastChecksum = uint.MaxValue, IsWanted = true,
        };
        (await Store.UpdateSourcesAsync([source], default)).ShouldBe([source]);
        await RestartAsync();
        (await Store.UpdateSourcesAsync([], default)).ShouldBe([source]);
        var reached = source.At(new PartitionPosition(source.Partition, 8, 5, 6, 2));
        (await Store.UpdateSourcesAsync([reached], default)).ShouldBe([source with { Next = 8, LastTimestampMs = 5, LastChecksum = 6, IsWanted = false }]);
    }

    [Fact]
    public async Task Of_two_who_set_a_position_at_the_same_time_one_is_left_out_and_the_router_that_has_not_heard_too()
    {
        var running = new SourceState(new("PARAM", 0), 3, 4) { Next = 100 };
        await Store.UpdateSourcesAsync([running], default);
        var first = running with { Incarnation = 5, Next = 10, IsWanted = true };
        (await Store.UpdateSourcesAsync([first], default)).ShouldBe([first]);
        (await Store.UpdateSourcesAsync([first with { Next = 20 }], default)).ShouldBe([first]);
        (await Store.UpdateSourcesAsync([running with { Next = 150 }], default)).ShouldBe([first]);
        // The router that has gone there writes its place, and the wish is fulfilled.
        var after = first with { Next = 11, IsWanted = false };
        (await Store.UpdateSourcesAsync([after], default)).ShouldBe([after]);
    }

    /// <summary>
    /// The race that the epoch exists for. Whichever comes first, what the takeover read and what the old owner was told
    /// must agree: committed and read, or fenced and not there.
    /// </summary>
    [Fact]
    public async Task A_takeover_against_a_commit_has_one_winner_and_both_know_it()
    {
        var nodes = new[] { Store, await OpenAsync() };
        var current = await TakeOver(Zero);
        for (var round = 0; round < 60; round++)
        {
            var (owner, other) = (nodes[round % 2], nodes[(round + 1) % 2]);
            var number = current.CheckpointNumber + 1;
            var key = $"round {round}";
            using var start = new Barrier(2);
            var commit = OnAThread(start, () => owner.CommitAsync([Full(Zero, current.Epoch.Value, number, key)], default).AsTask());
            var takeover = OnAThread(start, () => other.TakeOverAsync(Zero, $"node-{round % 2}", default).AsTask());
            var committed = (await commit)[0] == CheckpointOutcome.Committed;
            var recovered = await takeover;

            recovered.CheckpointNumber.ShouldBe(committed ? number : number - 1);
            (await Read(Zero, EntityKind.Station, key)).Count.ShouldBe(committed ? 1 : 0);
            recovered.Outbox.Any(entry => entry.Sequence == number).ShouldBe(committed);
            (await Read(Zero, EntityKind.Window, key)).Count.ShouldBe(committed ? 1 : 0);
            recovered.Epoch.Value.ShouldBe(current.Epoch.Value + 1);
            current = recovered;
        }
    }

    [Fact]
    public async Task Takeovers_at_the_same_time_get_different_epochs()
    {
        var nodes = new[] { Store, await OpenAsync() };
        using var start = new Barrier(8);
        var takeovers = await Task.WhenAll(Enumerable.Range(0, 8)
            .Select(i => OnAThread(start, () => nodes[i % 2].TakeOverAsync(Zero, $"node-{i}", default).AsTask())));
        takeovers.Select(takeover => takeover.Epoch.Value).Order().ShouldBe(Enumerable.Range(1, 8).Select(i => (long)i));
    }

    [Fact]
    public async Task Shards_of_two_nodes_commit_at_the_same_time()
    {
        const int Rounds = 25;
        var nodes = new[] { Store, await OpenAsync() };
        var zero = (await TakeOver(Zero)).Epoch.Value;
        var one = (await TakeOver(One)).Epoch.Value;
        using var start = new Barrier(2);
        await Task.WhenAll(OnAThread(start, () => Run(nodes[0], Zero, zero)), OnAThread(start, () => Run(nodes[1], One, one)));
        (await TakeOver(Zero)).CheckpointNumber.ShouldBe(Rounds);
        (await TakeOver(One)).Outbox.Count.ShouldBe(Rounds);

        static async Task<bool> Run(ICheckpointStore node, ShardId shard, long epoch)
        {
            for (var number = 1; number <= Rounds; number++)
                (await node.CommitAsync([Full(shard, epoch, number, $"{number}")], default)).ShouldBe([CheckpointOutcome.Committed]);
            return true;
        }
    }

    [Fact]
    public async Task A_cancelled_call_does_nothing()
    {
        var epoch = (await TakeOver(Zero)).Epoch.Value;
        var cancelled = new CancellationToken(canceled: true);
        await Should.ThrowAsync<OperationCanceledException>(async () => await Store.CommitAsync([Full(Zero, epoch, 1, "x")], cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Store.TakeOverAsync(Zero, "node", cancelled));
        (await Commit(Full(Zero, epoch, 1, "y"))).ShouldBe([CheckpointOutcome.Committed]);
    }

    [Fact]
    public async Task Nothing_works_before_the_store_is_opened()
    {
        await using var store = ConnectToNothing();
        await Should.ThrowAsync<InvalidOperationException>(async () => await store.TakeOverAsync(Zero, "node", default));
        await Should.ThrowAsync<InvalidOperationException>(async () => await store.UpdateSourcesAsync([], default));
    }

    /// <summary>A store of a database that was never opened.</summary>
    protected abstract ICheckpointStore ConnectToNothing();

    // With the stations, which an owner reads when it needs them; the windows are read by each test that is about them.
    protected async Task<RecoveredShard> TakeOver(ShardId shard)
    {
        var recovered = await Store.TakeOverAsync(shard, "node-1", default);
        return recovered with { Entities = [.. await Store.ReadEntitiesAsync(shard, EntityKind.Station, null, default), .. recovered.Entities] };
    }

    protected Task<IReadOnlyList<CheckpointOutcome>> Commit(params ShardCheckpoint[] checkpoints) => Store.CommitAsync(checkpoints, default).AsTask();

    protected async Task<IReadOnlyList<string>> Read(ShardId shard, EntityKind kind, params string[] keys) =>
        [.. (await Store.ReadEntitiesAsync(shard, kind, keys.Length == 0 ? null : keys, default)).Select(Print)];

    protected static ShardCheckpoint Checkpoint(ShardId shard, long epoch, long number) => new()
    {
        Shard = shard, Epoch = new Epoch(epoch), Number = number, ShardState = [],
        Entities = [], Positions = [], Marks = [], OutboxAdded = [], OutboxRemoved = [],
    };

    /// <summary>One row of everything, all telling the same word.</summary>
    protected static ShardCheckpoint Full(ShardId shard, long epoch, long number, string word) => Checkpoint(shard, epoch, number) with
    {
        ShardState = Encoding.UTF8.GetBytes(word),
        Entities = [Station(word, word), Entity(EntityKind.Window, word, word)],
        Positions = [new(Events, number, number, 0)],
        Marks = [new(Events, "source", new Place(number, 0, 0), number, 0)],
        OutboxAdded = [Output(Upload, number, word)],
        Release = true,
    };

    protected static EntityState Entity(EntityKind kind, string key, string state) => new(kind, key, Encoding.UTF8.GetBytes(state));

    protected static EntityState Station(string key, string state) => Entity(EntityKind.Station, key, state);

    protected static OutboxEntry Output(TopicPartition destination, long sequence, string value) =>
        new(destination, sequence, Encoding.UTF8.GetBytes("key"), Encoding.UTF8.GetBytes(value), [new("aa-origin", $"store.0.0.{sequence}")], 1700000000000);

    private static async Task<T> OnAThread<T>(Barrier start, Func<Task<T>> call) =>
        await await Task.Factory.StartNew(() =>
        {
            start.SignalAndWait();
            return call();
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static string Print(EntityState entity) => $"{entity.Kind} {entity.Key}={Encoding.UTF8.GetString(entity.State!)}";

    private static string Print(OutboxEntry entry) =>
        $"{entry.Destination} {entry.Sequence} {Convert.ToHexString(entry.Key ?? [])} {Convert.ToHexString(entry.Value)} {entry.TimestampMs} {string.Join(';', entry.Headers)}";

    /// <summary>All of a shard but its epoch and release, which every takeover changes.</summary>
    private static string Print(RecoveredShard shard) => string.Join('\n',
        [$"{shard.CheckpointNumber} {Convert.ToHexString(shard.ShardState)}", .. shard.Entities.Select(Print), .. shard.Positions.Select(x => $"{x}"), .. shard.Marks.Select(x => $"{x}"), .. shard.Outbox.Select(Print)]);
}
