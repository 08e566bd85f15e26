using System.Text;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Tests.Storage;

// What every store must do with dead letters.
public abstract partial class CheckpointStoreConformance
{
    [Fact]
    public async Task A_dead_letter_comes_back_whole_and_a_list_leaves_its_bytes_out()
    {
        var owner = await TakeOver(One);
        var letter = Letter(One, 3, timeMs: 1700000000123) with
        {
            Station = "站\u0000\U0001F50C", Reason = new Rejection("wrong-type", "a \"text\"\u0000, \u0001 no number"), Bytes = new byte[] { 0, 1, 255 }, Length = 70_000,
            Checksum = uint.MaxValue, Offset = long.MaxValue, Index = int.MaxValue, Form = RejectedForm.Element, RecordTimestampMs = -5, ReplayOf = new DeadLetterId(Zero, 9),
        };
        var empty = Letter(One, 4, timeMs: 5) with { Bytes = default, Length = 0, Station = "" };
        await Commit(Checkpoint(One, owner.Epoch.Value, 1) with { LettersAdded = [letter, empty] });

        await RestartAsync();
        var read = await Store.ReadDeadLettersAsync(One, DeadLetterFilter.All, 0, 10, default);
        read.Select(Print).ShouldBe([Print(new StoredDeadLetter(letter, DeadLetterState.Open, "", 0)), Print(new StoredDeadLetter(empty, DeadLetterState.Open, "", 0))]);
        Print((await Store.FindDeadLetterAsync(new DeadLetterId(One, 3), default))!).ShouldBe(Print(read[0]));
        (await Store.FindDeadLetterAsync(new DeadLetterId(One, 2), default)).ShouldBeNull();
        (await Store.FindDeadLetterAsync(new DeadLetterId(Zero, 3), default)).ShouldBeNull();
        var listed = await Store.ListDeadLettersAsync(DeadLetterFilter.All, null, 10, default);
        listed.Select(Print).ShouldBe([Print(new StoredDeadLetter(letter with { Bytes = default }, DeadLetterState.Open, "", 0)), Print(new StoredDeadLetter(empty, DeadLetterState.Open, "", 0))]);
    }

    [Fact]
    public async Task Letters_are_listed_from_the_newest_page_by_page_and_read_by_number()
    {
        var epochs = new[] { await TakeOver(Zero), await TakeOver(One) };
        // Two shards, times that meet, and one that runs back.
        await Commit(
            Checkpoint(Zero, epochs[0].Epoch.Value, 1) with { LettersAdded = [Letter(Zero, 1, 10), Letter(Zero, 2, 30), Letter(Zero, 10, 20)] },
            Checkpoint(One, epochs[1].Epoch.Value, 1) with { LettersAdded = [Letter(One, 1, 20), Letter(One, 2, 40)] });
        string[] all = ["1-2", "0-2", "1-1", "0-10", "0-1"];
        (await List(DeadLetterFilter.All, null, 10)).ShouldBe(all);
        List<string> paged = [];
        for (DeadLetterId? after = null; await List(DeadLetterFilter.All, after, 2) is { Count: > 0 } page;)
        {
            paged.AddRange(page);
            DeadLetterId.TryParse(page[^1], out var last).ShouldBeTrue();
            after = last;
        }

        paged.ShouldBe(all);
        (await List(DeadLetterFilter.All, new DeadLetterId(Zero, 99), 10)).ShouldBeEmpty("nobody knows where that one stood");
        (await Ids(Zero, DeadLetterFilter.All, 0, 10)).ShouldBe(["0-1", "0-2", "0-10"]);
        (await Ids(Zero, DeadLetterFilter.All, 1, 1)).ShouldBe(["0-2"]);
    }

    [Fact]
    public async Task Filters_hold_together()
    {
        var owner = await TakeOver(Zero);
        await Commit(Checkpoint(Zero, owner.Epoch.Value, 1) with
        {
            LettersAdded =
            [
                Letter(Zero, 1, 10), Letter(Zero, 2, 20) with { Station = "S2" }, Letter(Zero, 3, 30) with { Reason = new Rejection("no-id", "") },
                Letter(Zero, 4, 40) with { Source = new SourcePartition("OTHER", 0, 0) }, Letter(Zero, 5, 50),
            ],
            LettersChanged = [new DeadLetterChange(5, DeadLetterState.Discarded, "anna", 60)],
        });
        async Task Holds(DeadLetterFilter filter, params string[] ids)
        {
            (await List(filter, null, 10)).ShouldBe(ids);
            (await Ids(Zero, filter, 0, 10)).ShouldBe(ids.Reverse());
        }

        await Holds(new DeadLetterFilter(Topic: "METERS"), "0-5", "0-3", "0-2", "0-1");
        await Holds(new DeadLetterFilter(Reason: "no-id"), "0-3");
        await Holds(new DeadLetterFilter(Station: "S2"), "0-2");
        await Holds(new DeadLetterFilter(SinceMs: 20, UntilMs: 40), "0-3", "0-2");
        await Holds(new DeadLetterFilter(State: DeadLetterState.Discarded), "0-5");
        await Holds(new DeadLetterFilter(Topic: "METERS", Station: "S1", State: DeadLetterState.Open, SinceMs: 11), "0-3");
        await Holds(new DeadLetterFilter(Topic: "METERS' OR 1=1 --"));
    }

    [Fact]
    public async Task A_change_says_who_and_when_and_passes_over_what_is_gone()
    {
        var owner = await TakeOver(Zero);
        await Commit(Checkpoint(Zero, owner.Epoch.Value, 1) with { LettersAdded = [Letter(Zero, 1, 10), Letter(Zero, 2, 20)] });
        await Commit(Checkpoint(Zero, owner.Epoch.Value, 2) with
        {
            LettersChanged = [new DeadLetterChange(1, DeadLetterState.Replayed, "bert", 99), new DeadLetterChange(77, DeadLetterState.Discarded, "bert", 99)],
        });
        var read = await Store.ReadDeadLettersAsync(Zero, DeadLetterFilter.All, 0, 10, default);
        read.Select(letter => (letter.Id.Number, letter.State, letter.ChangedBy, letter.ChangedMs))
            .ShouldBe([(1, DeadLetterState.Replayed, "bert", 99), (2, DeadLetterState.Open, "", 0)]);
    }

    [Fact]
    public async Task A_fenced_checkpoint_writes_and_changes_no_letter()
    {
        var old = await TakeOver(Zero);
        await Commit(Checkpoint(Zero, old.Epoch.Value, 1) with { LettersAdded = [Letter(Zero, 1, 10)] });
        await TakeOver(Zero);
        (await Commit(Checkpoint(Zero, old.Epoch.Value, 2) with
        {
            LettersAdded = [Letter(Zero, 2, 20)], LettersChanged = [new DeadLetterChange(1, DeadLetterState.Replayed, "bert", 99)], LettersExpired = new DeadLetterExpiry(9, 99, 9),
        })).ShouldBe([CheckpointOutcome.Fenced]);
        var only = (await Store.ReadDeadLettersAsync(Zero, DeadLetterFilter.All, 0, 10, default)).ShouldHaveSingleItem();
        only.State.ShouldBe(DeadLetterState.Open);
    }

    [Fact]
    public async Task A_number_given_twice_is_refused_and_nothing_of_the_group_is_written()
    {
        var (zero, one) = (await TakeOver(Zero), await TakeOver(One));
        await Commit(Checkpoint(Zero, zero.Epoch.Value, 1) with { LettersAdded = [Letter(Zero, 1, 10)] });
        var failure = await Should.ThrowAsync<InvalidOperationException>(() => Commit(
            Checkpoint(One, one.Epoch.Value, 1) with { LettersAdded = [Letter(One, 1, 10)] },
            Checkpoint(Zero, zero.Epoch.Value, 2) with { LettersAdded = [Letter(Zero, 1, 20)] }));
        failure.Message.ShouldContain("0-1");
        (await List(DeadLetterFilter.All, null, 10)).ShouldBe(["0-1"]);
    }

    [Fact]
    public async Task Letters_expire_by_number_and_by_time_in_bounded_steps_in_their_own_shard()
    {
        var (zero, one) = (await TakeOver(Zero), await TakeOver(One));
        await Commit(
            Checkpoint(Zero, zero.Epoch.Value, 1) with { LettersAdded = [.. Enumerable.Range(1, 9).Select(number => Letter(Zero, number, number * 10))] },
            Checkpoint(One, one.Epoch.Value, 1) with { LettersAdded = [Letter(One, 1, 1)] });
        await Commit(Checkpoint(Zero, zero.Epoch.Value, 2) with { LettersExpired = new DeadLetterExpiry(4, long.MinValue, 2) });
        (await Ids(Zero, DeadLetterFilter.All, 0, 10)).ShouldBe(["0-3", "0-4", "0-5", "0-6", "0-7", "0-8", "0-9"]);
        await Commit(Checkpoint(Zero, zero.Epoch.Value, 3) with { LettersExpired = new DeadLetterExpiry(4, 70, 2) });
        (await Ids(Zero, DeadLetterFilter.All, 0, 10)).ShouldBe(["0-6", "0-7", "0-8", "0-9"]);
        // A letter that is added and too old at once does not stay.
        await Commit(Checkpoint(Zero, zero.Epoch.Value, 4) with { LettersAdded = [Letter(Zero, 10, 1)], LettersExpired = new DeadLetterExpiry(1, 70, 9) });
        (await Ids(Zero, DeadLetterFilter.All, 0, 10)).ShouldBe(["0-7", "0-8", "0-9"]);
        (await Ids(One, DeadLetterFilter.All, 0, 10)).ShouldBe(["1-1"]);
    }

    [Fact]
    public async Task The_owner_is_whoever_took_over_last()
    {
        (await Store.OwnerAsync(One, default)).ShouldBe(new ShardOwner("", new Epoch(0)));
        await Store.TakeOverAsync(One, "node-1", default);
        var second = await Store.TakeOverAsync(One, "node-2", default);
        (await Store.OwnerAsync(One, default)).ShouldBe(new ShardOwner("node-2", second.Epoch));
        (await Store.OwnerAsync(Zero, default)).Name.ShouldBeEmpty();
    }

    private static DeadLetter Letter(ShardId shard, long number, long timeMs) =>
        DeadLetter.Of(new SourcePartition("METERS", 1, 2), 7, 3, "S1", new Rejection("wrong-type", "why"), Encoding.UTF8.GetBytes($"{number}"), timeMs) with
        {
            Id = new DeadLetterId(shard, number), Form = RejectedForm.Item, RecordTimestampMs = 6,
        };

    private async Task<IReadOnlyList<string>> List(DeadLetterFilter filter, DeadLetterId? after, int limit) =>
        [.. (await Store.ListDeadLettersAsync(filter, after, limit, default)).Select(letter => letter.Id.ToString())];

    private async Task<IReadOnlyList<string>> Ids(ShardId shard, DeadLetterFilter filter, long above, int limit) =>
        [.. (await Store.ReadDeadLettersAsync(shard, filter, above, limit, default)).Select(letter => letter.Id.ToString())];

    // All but the bytes' identity: a record compares memory by reference.
    private static string Print(StoredDeadLetter stored) => $"{stored with { Letter = stored.Letter with { Bytes = default } }} {Convert.ToHexString(stored.Letter.Bytes.Span)}";
}
