using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Analytics.Actors.Core;

/// <summary>
/// Asks memory for what will be needed soon, so that several far places are fetched side by side instead of one behind the
/// other. Changes nothing, and does nothing on processors that are not x86.
/// </summary>
/// <remarks>An object may be moved by the collector just then: the wrong place is asked for, which is harmless.</remarks>
internal static unsafe class Prefetch
{
    private const int LineBytes = 64;

    // What follows is read from its beginning to its end, and comes by itself.
    private const int BytesMost = 4 * LineBytes;

    /// <summary>The line in which this stands.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line<T>(ref readonly T place)
    {
        if (Sse.IsSupported) Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.AsRef(in place)));
    }

    /// <summary>The first lines of these bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Bytes(ReadOnlySpan<byte> bytes)
    {
        if (!Sse.IsSupported) return;
        for (var at = 0; at < Math.Min(bytes.Length, BytesMost); at += LineBytes) Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref MemoryMarshal.GetReference(bytes), at)));
    }

    /// <summary>The first lines of an object.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Object(object at, int bytes)
    {
        if (!Sse.IsSupported) return;
        var start = (byte*)Unsafe.As<object, nint>(ref at);
        for (var offset = 0; offset < bytes; offset += LineBytes) Sse.Prefetch0(start + offset);
    }
}
