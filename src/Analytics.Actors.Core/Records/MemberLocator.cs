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
    // What the reader allows by itself.
    private const int LevelsMax = 64;

    private readonly Node root = new("", -1);

    public MemberLocator(IReadOnlyList<string> paths)
    {
        Slots = new int[paths.Count];
        var slots = 0;
        for (var i = 0; i < paths.Count; i++)
        {
            var node = root;
            foreach (var name in paths[i].Split('.')) node = node.ChildOrNew(name);
            if (node.Slot < 0) node.Slot = slots++;
            Slots[i] = node.Slot;
        }

        SlotCount = slots;
        root.Finish();
    }

    /// <summary>The slot that each path's slice is written to; equal paths share one.</summary>
    public int[] Slots { get; }
    public int SlotCount { get; }

    /// <summary>The names with their slots; null where a path leads into nested objects.</summary>
    public IReadOnlyList<(byte[] Name, int Slot)>? Flat => root.Children.Any(child => child.HasChildren) ? null : [.. root.Children.Select(child => (child.Name, child.Slot))];

    /// <summary>Fills <paramref name="found"/> (one per slot); false where the bytes are not one JSON object.</summary>
    public bool TryLocate(ReadOnlySpan<byte> json, Span<JsonSlice> found)
    {
        found.Clear();
        return TryWalk(json, PlainJson.Blanks(json, 0), root, found, LevelsMax) > 0 || TryRead(json, found);
    }

    /// <summary>The same by way of the reader, which takes whatever is JSON.</summary>
    internal bool TryRead(ReadOnlySpan<byte> json, Span<JsonSlice> found)
    {
        found.Clear();
        try
        {
            var reader = new Utf8JsonReader(json);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
            Read(ref reader, root, found);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Finds the same in JSON as machines write it; the place behind the object, or -1 where the reader must look.</summary>
    private static int TryWalk(ReadOnlySpan<byte> json, int at, Node node, Span<JsonSlice> found, int levels)
    {
        if (PlainJson.At(json, at) != '{' || levels == 0) return PlainJson.Failed;
        var walk = new MemberWalk(json, at, node.Names);
        while (walk.Next() is var number && number != MemberWalk.End)
        {
            if (number == MemberWalk.Failed) return PlainJson.Failed;
            var start = walk.At;
            var kind = PlainJson.Kind(PlainJson.At(json, start));
            if (number == ObjectNames.NoSlot)
            {
                walk.At = PlainJson.Value(json, start, levels - 1);
                if (walk.At < 0) return PlainJson.Failed;
                continue;
            }

            var child = node.Children[number];
            walk.At = child.HasChildren && kind == JsonTokenType.StartObject
                ? TryWalk(json, start, child, found, levels - 1)
                : PlainJson.Value(json, start, levels - 1);
            if (walk.At < 0) return PlainJson.Failed;
            if (child.Slot >= 0) found[child.Slot] = new JsonSlice(start, walk.At - start, kind);
        }

        return walk.At;
    }

    private static void Read(ref Utf8JsonReader reader, Node node, Span<JsonSlice> found)
    {
        var expected = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            var child = node.Find(ref reader, ref expected);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            var kind = reader.TokenType;
            if (child is { HasChildren: true } && kind == JsonTokenType.StartObject) Read(ref reader, child, found);
            else reader.Skip();
            if (child is { Slot: >= 0 }) found[child.Slot] = new JsonSlice(start, (int)reader.BytesConsumed - start, kind);
        }
    }

    private sealed class Node(string name, int slot)
    {
        private readonly byte[] name = Encoding.UTF8.GetBytes(name);
        private readonly List<Node> children = [];

        public int Slot { get; set; } = slot;
        public byte[] Name => name;
        public List<Node> Children => children;
        public bool HasChildren => children.Count > 0;

        /// <summary>The names of objects at this place; their slots are places among the children.</summary>
        public ObjectNames Names { get; private set; } = new([]);

        /// <summary>To be called when all children are there.</summary>
        public void Finish()
        {
            Names = new ObjectNames([.. children.Select((child, place) => (child.name, place))]);
            foreach (var child in children) child.Finish();
        }

        public Node ChildOrNew(string childName)
        {
            var bytes = Encoding.UTF8.GetBytes(childName);
            foreach (var child in children)
                if (child.name.AsSpan().SequenceEqual(bytes)) return child;
            var added = new Node(childName, -1);
            children.Add(added);
            return added;
        }

        /// <summary>Payloads mostly come in the order in which the paths were written, so the search starts behind the last hit.</summary>
        public Node? Find(ref Utf8JsonReader reader, ref int expected)
        {
            for (var i = 0; i < children.Count; i++)
            {
                var index = expected + i;
                if (index >= children.Count) index -= children.Count;
                if (!JsonText.NameEquals(ref reader, children[index].name)) continue;
                expected = index + 1 == children.Count ? 0 : index + 1;
                return children[index];
            }

            return null;
        }
    }
}
