using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Tests.Records;

/// <summary>Buffers of records and envelopes: enough for a stream, and no more after a flood.</summary>
public class BufferPoolTests
{
    [Fact]
    public void A_flood_leaves_no_more_than_the_bound_of_each_size()
    {
        var pool = new BufferPool();
        foreach (var length in new[] { 1, 1_000, 70_000, 300_000, BufferPool.LengthMax })
        {
            var rented = Enumerable.Range(0, 400).Select(_ => pool.Rent(length)).ToList();
            rented.ShouldAllBe(buffer => buffer.Length >= length);
            foreach (var buffer in rented) pool.Return(buffer);
        }

        // 1 KB (once for both lengths), 128 KB, 512 KB and 1 MB.
        pool.KeptBytes.ShouldBe(256 * 1024 + 3 * BufferPool.KeptBytesMax);
        pool.Clear();
        pool.KeptBytes.ShouldBe(0);
    }

    [Fact]
    public void What_was_given_back_serves_again()
    {
        var pool = new BufferPool();
        var first = pool.Rent(100_000);
        pool.Return(first);
        pool.Rent(90_000).ShouldBeSameAs(first);
        pool.Rent(90_000).ShouldNotBeSameAs(first);
    }

    [Fact]
    public void Larger_ones_and_those_of_others_are_not_kept()
    {
        var pool = new BufferPool();
        pool.Return(pool.Rent(BufferPool.LengthMax + 1));
        pool.Return([]);
        pool.Return(new byte[5_000]);
        pool.KeptBytes.ShouldBe(0);
    }
}
