using System.Buffers;

namespace Analytics.Actors.Core.Windows;

/// <summary>Fragments as one JSON object, for what must outlive the window (superseded inputs); see <see cref="JsonFragment.Parse"/>.</summary>
public static class FragmentJson
{
    /// <summary>Writes the fragment's members, in their order, as one JSON object.</summary>
    public static void WriteJson(this InputFragment fragment, IBufferWriter<byte> destination)
    {
        destination.Write("{"u8);
        var isFirst = true;
        foreach (var name in fragment.Names)
        {
            if (!isFirst) destination.Write(","u8);
            isFirst = false;
            destination.Write(JsonBuilder.Quote(name));
            destination.Write(":"u8);
            fragment.WriteJson(name, destination);
        }

        destination.Write("}"u8);
    }

    /// <summary>The fragment as one JSON object in UTF-8.</summary>
    public static byte[] ToJsonObject(this InputFragment fragment)
    {
        using var buffer = new PooledBuffer();
        fragment.WriteJson(buffer);
        return buffer.ToArray();
    }

    /// <summary>All members as one object under one name; the fragment itself where there is no name.</summary>
    internal static InputFragment Under(this InputFragment fragment, string? member) =>
        member is null ? fragment : new JsonFragment([member], [fragment.ToJsonObject()]);
}
