using System.Text;
using System.Text.Json;

namespace Analytics.Actors.Core.Records;

/// <summary>Where a value stands in the JSON around it; the default stands nowhere.</summary>
internal readonly record struct JsonSlice(int Start, int Length, JsonTokenType Kind)
{
    public bool IsPresent => Length > 0;

    /// <summary>Present and not null.</summary>
    public bool HasValue => Length > 0 && Kind != JsonTokenType.Null;

    public ReadOnlySpan<byte> Of(ReadOnlySpan<byte> json) => json.Slice(Start, Length);
    public ReadOnlyMemory<byte> Of(ReadOnlyMemory<byte> json) => json.Slice(Start, Length);
}

/// <summary>
/// Finds the members named by a fixed set of paths (names joined by dots) in one pass over an object, without decoding or
/// copying anything else. Of a name written twice the last one counts.
/// </summary>
internal sealed class MemberLocator
{
    private readonly Node root = new([], -1);

    public MemberLocator(IReadOnlyList<string> paths)
    {
        Slots = new int[paths.Count];
        var slots = 0;
        for (var i = 0; i < paths.Count; i++)
        {
            var node = root;
            foreach (var name in paths[i].Split('.')) node = node.ChildOrNew(Encoding.UTF8.GetBytes(name));
            if (node.Slot < 0) node.Slot = slots++;
            Slots[i] = node.Slot;
        }

        SlotCount = slots;
    }

    /// <summary>The slot that each path's slice is written to; equal paths share one.</summary>
    public int[] Slots { get; }
    public int SlotCount { get; }

    /// <summary>Fills <paramref name="found"/> (one per slot); false where the bytes are not one JSON object.</summary>
    public bool TryLocate(ReadOnlySpan<byte> json, Span<JsonSlice> found)
    {
        found.Clear();
        try
        {
            var reader = new Utf8JsonReader(json);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
            Walk(ref reader, root, found);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static void Walk(ref Utf8JsonReader reader, Node node, Span<JsonSlice> found)
    {
        var expected = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            var child = node.Find(ref reader, ref expected);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            var kind = reader.TokenType;
            if (child is { HasChildren: true } && kind == JsonTokenType.StartObject) Walk(ref reader, child, found);
            else reader.Skip();
            if (child is { Slot: >= 0 }) found[child.Slot] = new JsonSlice(start, (int)reader.BytesConsumed - start, kind);
        }
    }

    private sealed class Node(byte[] name, int slot)
    {
        private Node[] children = [];

        public int Slot { get; set; } = slot;
        public bool HasChildren => children.Length > 0;

        public Node ChildOrNew(byte[] childName)
        {
            foreach (var child in children)
                if (child.Is(childName)) return child;
            var added = new Node(childName, -1);
            children = [.. children, added];
            return added;
        }

        /// <summary>Payloads mostly come in the order in which the paths were written, so the search starts behind the last hit.</summary>
        public Node? Find(ref Utf8JsonReader reader, ref int expected)
        {
            for (var i = 0; i < children.Length; i++)
            {
                var index = expected + i;
                if (index >= children.Length) index -= children.Length;
                if (!children[index].Matches(ref reader)) continue;
                expected = index + 1 == children.Length ? 0 : index + 1;
                return children[index];
            }

            return null;
        }

        private bool Is(byte[] other) => name.AsSpan().SequenceEqual(other);
        private bool Matches(ref Utf8JsonReader reader) => JsonText.NameEquals(ref reader, name);
    }
}
