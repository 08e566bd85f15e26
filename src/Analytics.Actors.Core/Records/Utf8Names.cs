using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Compares names by their UTF-8 bytes, so that a table of strings is searched with the bytes of a record and no string is
/// made. A string and its bytes have one hash. Bytes that are no UTF-8 equal no string.
/// </summary>
internal sealed class Utf8Names : IEqualityComparer<string>, IAlternateEqualityComparer<ReadOnlySpan<byte>, string>
{
    public static readonly Utf8Names Comparer = new();

    private const int StackBytesMax = 1024;
    private const ulong Multiplier = 0x9e3779b97f4a7c15;

    // Another one in each process, as string's own: nobody can prepare names that all meet in one bucket.
    private static readonly ulong Seed = (ulong)HashCode.Combine(nameof(Utf8Names)) * Multiplier;

    public bool Equals(string? left, string? right) => string.Equals(left, right);

    public bool Equals(ReadOnlySpan<byte> bytes, string text)
    {
        // A character that is not ASCII takes two or three bytes.
        if (bytes.Length == text.Length) return Ascii.Equals(bytes, text);
        if (bytes.Length < text.Length || bytes.Length > 3 * text.Length) return false;
        if (bytes.Length > StackBytesMax) return bytes.SequenceEqual(Encoding.UTF8.GetBytes(text));
        Span<byte> encoded = stackalloc byte[StackBytesMax];
        return Encoding.UTF8.TryGetBytes(text, encoded, out var length) && bytes.SequenceEqual(encoded[..length]);
    }

    public int GetHashCode(string text)
    {
        if (3 * text.Length > StackBytesMax) return GetHashCode(Encoding.UTF8.GetBytes(text));
        Span<byte> encoded = stackalloc byte[StackBytesMax];
        return GetHashCode(encoded[..Encoding.UTF8.GetBytes(text, encoded)]);
    }

    public int GetHashCode(ReadOnlySpan<byte> bytes)
    {
        var hash = Seed ^ (uint)bytes.Length;
        while (bytes.Length >= sizeof(ulong))
        {
            hash = Mix(hash, MemoryMarshal.Read<ulong>(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        var rest = 0UL;
        for (var index = 0; index < bytes.Length; index++) rest |= (ulong)bytes[index] << (8 * index);
        hash = Mix(hash, rest);
        return (int)(hash ^ (hash >> 32));
    }

    public string Create(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes);

    private static ulong Mix(ulong hash, ulong word) => BitOperations.RotateLeft((hash ^ word) * Multiplier, 29) * Multiplier;
}
