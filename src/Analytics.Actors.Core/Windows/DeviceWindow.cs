using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// The latest payload of each device, by device code. Each device ages on its own: one that fell silent goes, the others
/// stay. "Latest" is the one that arrived last, as in every window of entries.
/// </summary>
internal sealed class DeviceWindow : TopicWindow
{
    private const int DeviceOverhead = 96;

    // Ordered by device code as text, which is the order of the input's list.
    private Device[] devices = [];
    private int count;

    public DeviceWindow(WindowContext context) : base(context)
    {
    }

    internal IEnumerable<KeyValuePair<string, Entry>> Devices => devices.Take(count).Select(device => KeyValuePair.Create(device.CodeText(), device.Entry)).ToList();

    public override bool IsEmpty => count == 0;

    public override long? NewestTimeMs
    {
        get
        {
            if (count == 0) return null;
            var newest = long.MinValue;
            foreach (ref readonly var device in Held) newest = Math.Max(newest, device.Entry.TimeMs);
            return newest;
        }
    }

    public override long SizeBytes
    {
        get
        {
            long size = 0;
            foreach (ref readonly var device in Held) size += device.Entry.Length + device.CodeText().Length * 2 + DeviceOverhead;
            return size;
        }
    }

    private Span<Device> Held => devices.AsSpan(0, count);

    public override WindowChange Apply(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs)
    {
        List<RejectedItem>? rejected = null;
        var changed = false;
        for (var i = 0; i < items.Length; i++)
        {
            var item = items[i].Span;
            if (Check(item, out var code, out var timeMs) is { } reason)
            {
                (rejected ??= []).Add(new RejectedItem(i, reason, items[i]));
                continue;
            }

            Put(item, code, Math.Min(timeMs ?? recordTimeMs, nowMs));
            changed = true;
        }

        if (changed) MarkChanged();
        return new WindowChange(changed, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    public override bool Expire(long nowMs)
    {
        if (Topic.TtlMs is not { } ttl) return false;
        var kept = 0;
        for (var i = 0; i < count; i++)
        {
            if (nowMs - devices[i].Entry.TimeMs <= ttl) devices[kept++] = devices[i];
            else devices[i].Entry.GiveBack(Context.Pool);
        }

        if (kept == count) return false;
        Array.Clear(devices, kept, count - kept);
        count = kept;
        MarkChanged();
        return true;
    }

    private protected override void Save(StateWriter state)
    {
        for (var i = count - 1; i >= 0; i--)
        {
            var mark = state.Length;
            state.Bytes(DeviceState.ItemFieldNumber, devices[i].Entry.Item.Span);
            state.Number(DeviceState.TimeMsFieldNumber, devices[i].Entry.TimeMs);
            if (TryPlain(devices[i].Code, out var code)) state.Bytes(DeviceState.DeviceFieldNumber, code);
            else state.Text(DeviceState.DeviceFieldNumber, devices[i].CodeText());
            state.Close(DevicesState.DevicesFieldNumber, mark);
        }

        state.Close(WindowState.DevicesFieldNumber, 0);
    }

    /// <summary>Takes over the payloads that the topic, as it is now, would accept; the device may be named by another member now.</summary>
    internal void Restore(DevicesState state)
    {
        foreach (var saved in state.Devices)
        {
            if (Check(saved.Item.Span, out var code, out _) is null) Put(saved.Item.Span, code, saved.TimeMs);
        }

        MarkChanged();
    }

    protected override InputFragment ShapeCore()
    {
        var json = new JsonBuilder().StartList();
        foreach (ref readonly var device in Held)
        {
            if (Plan.Fields.Length == 0) json.Value(device.Entry.Item.Span);
            else FieldsShape.WriteObject(Plan, device.Entry.Item, json);
        }

        return new JsonFragment([Topic.ShapeMember!], [json.EndList().ToArray()]);
    }

    private void Put(ReadOnlySpan<byte> item, JsonSlice code, long timeMs)
    {
        var at = Find(code.Of(item));
        if (at >= 0)
        {
            devices[at] = new Device(devices[at].Entry.With(timeMs, item, Context.Pool), code.Start, code.Length);
            return;
        }

        Insert(at = ~at);
        devices[at] = new Device(Entry.Of(timeMs, item, Context.Pool), code.Start, code.Length);
    }

    /// <summary>Where the device is, or the complement of where it would stand.</summary>
    /// <param name="code">As it is written: <c>"H1"</c>, or <c>17</c>.</param>
    private int Find(ReadOnlySpan<byte> code)
    {
        var (low, high) = (0, count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = Compare(devices[middle].Code, code);
            if (order == 0) return middle;
            if (order < 0) low = middle + 1;
            else high = middle - 1;
        }

        return ~low;
    }

    private void Insert(int at)
    {
        // Stations have few devices, and as many as they have had: not an element more than that is kept.
        if (count == devices.Length) Array.Resize(ref devices, count < 8 ? count + 1 : count * 2);
        Array.Copy(devices, at, devices, at + 1, count - at);
        count++;
    }

    /// <summary>Orders codes as texts. What is written plainly in ASCII need not become one for that.</summary>
    private static int Compare(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.SequenceEqual(right)) return 0;
        if (TryPlain(left, out var plainLeft) && TryPlain(right, out var plainRight)) return plainLeft.SequenceCompareTo(plainRight);
        Span<char> leftText = stackalloc char[StationIds.BytesMax];
        Span<char> rightText = stackalloc char[StationIds.BytesMax];
        leftText = leftText[..ReadCode(left, leftText)];
        rightText = rightText[..ReadCode(right, rightText)];
        return leftText.SequenceCompareTo(rightText);
    }

    private static bool TryPlain(ReadOnlySpan<byte> code, out ReadOnlySpan<byte> text)
    {
        text = code[0] == (byte)'"' ? code[1..^1] : code;
        return !text.Contains((byte)'\\') && Ascii.IsValid(text);
    }

    private static int ReadCode(ReadOnlySpan<byte> code, Span<char> text)
    {
        StationIds.Read(code, AppendCheck.Kind(code), out var id);
        return Encoding.UTF8.GetChars(id, text);
    }

    [SkipLocalsInit]
    private Rejection? Check(ReadOnlySpan<byte> item, out JsonSlice code, out long? timeMs)
    {
        code = default;
        timeMs = null;
        var kind = AppendCheck.Kind(item);
        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the item is {JsonText.KindName(kind)}");
        Span<JsonSlice> found = Plan.Members.SlotCount <= 64 ? stackalloc JsonSlice[64] : new JsonSlice[Plan.Members.SlotCount];
        found = found[..Plan.Members.SlotCount];
        if (!Context.TryLocate(item, found)) return AppendCheck.NotJson;
        code = found[Plan.DeviceSlot];
        if (!code.IsPresent) return new Rejection("no-device", $"the item has no member {Topic.DeviceMember}");
        if (StationIds.Read(code.Of(item), code.Kind, out _) is { } problem)
            return new Rejection("invalid-device", $"{Topic.DeviceMember}: {problem}");
        if (Plan.TimeSlot >= 0 && AppendCheck.ReadTime(item, found[Plan.TimeSlot], TimeZone, out timeMs) is { } badTime) return badTime;
        return Plan.ChecksFields ? Plan.CheckFields(item, found) : null;
    }

    /// <summary>A device's payload, in which its code stands as it is written.</summary>
    private readonly record struct Device(Entry Entry, int CodeStart, int CodeLength)
    {
        public ReadOnlySpan<byte> Code => Entry.Array.AsSpan(CodeStart, CodeLength);

        public string CodeText()
        {
            Span<char> text = stackalloc char[StationIds.BytesMax];
            return text[..ReadCode(Code, text)].ToString();
        }
    }
}
