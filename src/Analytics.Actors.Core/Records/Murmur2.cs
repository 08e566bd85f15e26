using System.Buffers.Binary;
using System.Text;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// The hash of Kafka's default partitioner (32-bit MurmurHash2 with seed 0x9747b28c, as in the Java client), so that
/// a key finds the partition that any other client would choose.
/// </summary>
public static class Murmur2
{
    public static uint Hash(ReadOnlySpan<byte> data)
    {
        const uint multiplier = 0x5bd1e995;
        var hash = 0x9747b28c ^ (uint)data.Length;
        while (data.Length >= 4)
        {
            var word = BinaryPrimitives.ReadUInt32LittleEndian(data) * multiplier;
            word ^= word >> 24;
            hash = (hash * multiplier) ^ (word * multiplier);
            data = data[4..];
        }

        if (data.Length > 2) hash ^= (uint)data[2] << 16;
        if (data.Length > 1) hash ^= (uint)data[1] << 8;
        if (data.Length > 0) hash = (hash ^ data[0]) * multiplier;
        hash = (hash ^ (hash >> 13)) * multiplier;
        return hash ^ (hash >> 15);
    }

    /// <summary>The partition of a key among <paramref name="partitions"/>.</summary>
    public static int Partition(ReadOnlySpan<byte> key, int partitions) => (int)((Hash(key) & 0x7fffffff) % (uint)partitions);

    /// <inheritdoc cref="Partition(ReadOnlySpan{byte}, int)"/>
    public static int Partition(string key, int partitions)
    {
        Span<byte> buffer = stackalloc byte[512];
        if (key.Length * 3 <= buffer.Length) return Partition(buffer[..Encoding.UTF8.GetBytes(key, buffer)], partitions);
        return Partition(Encoding.UTF8.GetBytes(key), partitions);
    }
}
