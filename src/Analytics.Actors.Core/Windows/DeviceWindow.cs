using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Records;
using Google.Protobuf;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// The latest payload of each device, by device code. Each device ages on its own: one that fell silent goes, the others
/// stay. "Latest" is the one that arrived last, as in every window of entries.
/// </summary>
internal sealed class DeviceWindow : TopicWindow
{
    private const int DeviceOverhead = 96;

    private readonly WindowPlan plan;

    // Ordered by device code as text, which is the order of the input's list.
    private readonly SortedList<string, Entry> devices = new(StringComparer.Ordinal);

    public DeviceWindow(Pipeline.TopicConfiguration topic, TimeSpan timeZone) : base(topic, timeZone) => plan = WindowPlan.For(topic);

    internal IEnumerable<KeyValuePair<string, Entry>> Devices => devices;

    public override bool IsEmpty => devices.Count == 0;

    public override long? NewestTimeMs => devices.Count == 0 ? null : devices.Values.Max(entry => entry.TimeMs);

    public override long SizeBytes => devices.Sum(device => (long)device.Value.Item.Length + device.Key.Length * 2 + DeviceOverhead);

    public override WindowChange Apply(ReadOnlySpan<ReadOnlyMemory<byte>> items, long recordTimeMs, long nowMs)
    {
        List<RejectedItem>? rejected = null;
        var changed = false;
        for (var i = 0; i < items.Length; i++)
        {
            if (Check(items[i].Span, out var device, out var timeMs) is { } reason)
            {
                (rejected ??= []).Add(new RejectedItem(i, reason, items[i]));
                continue;
            }

            devices[device] = new Entry(Math.Min(timeMs ?? recordTimeMs, nowMs), items[i].ToArray());
            changed = true;
        }

        if (changed) MarkChanged();
        return new WindowChange(changed, rejected ?? (IReadOnlyList<RejectedItem>)[]);
    }

    public override bool Expire(long nowMs)
    {
        if (Topic.TtlMs is not { } ttl) return false;
        var changed = false;
        for (var i = devices.Count - 1; i >= 0; i--)
        {
            if (nowMs - devices.GetValueAtIndex(i).TimeMs <= ttl) continue;
            devices.RemoveAt(i);
            changed = true;
        }

        if (changed) MarkChanged();
        return changed;
    }

    public override byte[] Save()
    {
        var state = new DevicesState();
        foreach (var (device, entry) in devices)
            state.Devices.Add(new DeviceState { Device = device, TimeMs = entry.TimeMs, Item = UnsafeByteOperations.UnsafeWrap(entry.Item) });
        return new WindowState { Devices = state }.ToByteArray();
    }

    /// <summary>Takes over the payloads that the topic, as it is now, would accept; the device may be named by another member now.</summary>
    internal void Restore(DevicesState state)
    {
        foreach (var saved in state.Devices)
        {
            var item = saved.Item.ToByteArray();
            if (Check(item, out var device, out _) is null) devices[device] = new Entry(saved.TimeMs, item);
        }

        MarkChanged();
    }

    protected override InputFragment ShapeCore()
    {
        var json = new JsonBuilder().StartList();
        foreach (var (_, entry) in devices)
        {
            if (plan.Fields.Length == 0) json.Value(entry.Item);
            else FieldsShape.WriteObject(plan, entry.Item, json);
        }

        return new JsonFragment([Topic.ShapeMember!], [json.EndList().ToArray()]);
    }

    [SkipLocalsInit]
    private Rejection? Check(ReadOnlySpan<byte> item, out string device, out long? timeMs)
    {
        device = "";
        timeMs = null;
        var kind = AppendCheck.Kind(item);
        if (kind != JsonTokenType.StartObject) return new Rejection("item-not-object", $"the item is {JsonText.KindName(kind)}");
        Span<JsonSlice> found = plan.Members.SlotCount <= 64 ? stackalloc JsonSlice[64] : new JsonSlice[plan.Members.SlotCount];
        found = found[..plan.Members.SlotCount];
        if (!plan.Members.TryLocate(item, found)) return AppendCheck.NotJson;
        var code = found[plan.DeviceSlot];
        if (!code.IsPresent) return new Rejection("no-device", $"the item has no member {Topic.DeviceMember}");
        if (StationIds.Read(code.Of(item), code.Kind, out var text) is { } problem)
            return new Rejection("invalid-device", $"{Topic.DeviceMember}: {problem}");
        if (plan.TimeSlot >= 0 && AppendCheck.ReadTime(item, found[plan.TimeSlot], TimeZone, out timeMs) is { } badTime) return badTime;
        if (plan.ChecksFields && plan.CheckFields(item, found) is { } wrongType) return wrongType;
        device = Encoding.UTF8.GetString(text);
        return null;
    }
}
