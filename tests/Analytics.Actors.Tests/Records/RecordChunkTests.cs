using Analytics.Actors.Core.Records;
using Shouldly;

namespace Analytics.Actors.Tests.Records;

public sealed class RecordChunkTests
{
    [Fact]
    public void Bytes_are_copied_and_stay_until_their_record_is_given_back()
    {
        var chunk = RecordChunk.Rent(8, 2);
        var given = "abc"u8.ToArray();
        var first = chunk.Add(given);
        var second = chunk.Add("defgh"u8);
        given[0] = (byte)'x';

        chunk.Release();

        first.ToArray().ShouldBe("abc"u8.ToArray());
        second.ToArray().ShouldBe("defgh"u8.ToArray());
        chunk.Held.ShouldBe(1);
    }

    [Fact]
    public void Whoever_reads_what_was_given_back_reads_rubbish_in_tests()
    {
        var chunk = RecordChunk.Rent(3, 1);
        var value = chunk.Add("abc"u8);

        chunk.Release();

        value.ToArray().ShouldBe([0xDD, 0xDD, 0xDD]);
    }

    [Fact]
    public void A_buffer_that_is_given_back_is_used_again()
    {
        var memory = AllocatedBy(() =>
        {
            var chunk = RecordChunk.Rent(200_000, 3);
            chunk.Add(new byte[10]);
            chunk.Release(3);
        });

        memory.ShouldBeLessThan(1_000);
    }

    [Fact]
    public void Large_ones_and_empty_ones_are_chunks_like_others()
    {
        var large = RecordChunk.Rent(RecordChunk.PooledBytesMax + 1, 1);
        large.Add(new byte[RecordChunk.PooledBytesMax + 1]).Length.ShouldBe(RecordChunk.PooledBytesMax + 1);
        large.Release();
        large.Held.ShouldBe(0);

        var empty = RecordChunk.Rent(0, 1);
        empty.Add([]).Length.ShouldBe(0);
        empty.Release();
        empty.Held.ShouldBe(0);
    }

    [Fact]
    public void More_than_a_chunk_holds_can_neither_be_added_nor_given_back()
    {
        var chunk = RecordChunk.Rent(RecordChunk.PooledBytesMax, 2);
        Should.Throw<InvalidOperationException>(() => chunk.Release(3)).Message.ShouldContain("holds 2");
        Should.Throw<InvalidOperationException>(() => chunk.Release(0));
        Should.Throw<ArgumentException>(() => chunk.Add(new byte[RecordChunk.PooledBytesMax + 1]));
        chunk.Release(2);
        Should.Throw<InvalidOperationException>(() => chunk.Release());
        Should.Throw<ArgumentOutOfRangeException>(() => RecordChunk.Rent(1, 0));
    }

    // The smallest of several runs: what others allocate on this thread meanwhile does not count.
    private static long AllocatedBy(Action action)
    {
        var least = long.MaxValue;
        for (var run = 0; run < 5; run++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
