using System.Buffers.Binary;
using System.Numerics;

namespace Analytics.Actors.Core.Records;

/// <summary>CRC-32C (Castagnoli) of bytes, as Kafka itself uses it, on the processor's instruction where there is one.</summary>
public static class Checksum
{
    public static uint Of(ReadOnlySpan<byte> data)
    {
        var crc = 0xffffffffu;
        while (data.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[8..];
        }

        foreach (var value in data) crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }
}
