using System.Text.Json;
using System.Text.Unicode;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Records;

/// <summary>
/// Takes a record apart: finds its items by the topic's envelope, and gathers them per station. Items are slices of the
/// record, nothing is copied but the ids. What cannot be used is rejected, an item singly where the rest of the record can
/// be told apart from it. No bytes make it throw.
/// </summary>
public static class RecordSplitter
{
    /// <summary>Levels of objects and lists that a record may have.</summary>
    public const int DepthMax = 64;

    /// <summary>
    /// Splits one record's value. Codes of rejections: <c>empty</c>, <c>not-json</c>, <c>invalid-utf8</c>,
    /// <c>too-deep</c>, <c>duplicate-key</c>, <c>wrong-envelope</c>, <c>item-not-object</c>, <c>no-id</c>, <c>invalid-id</c>.
    /// </summary>
    public static SplitRecord Split(TopicConfiguration topic, ReadOnlyMemory<byte> value)
    {
        var plan = EnvelopePlan.For(topic);
        var json = WithoutByteOrderMark(value);
        if (json.IsEmpty) return RejectWhole(plan, value, "empty", "the record has no value");
        var isUtf8 = Utf8.IsValid(json.Span);
        try
        {
            return new RecordScanner(plan, json, isUtf8).Split();
        }
        catch (JsonException exception)
        {
            return isUtf8
                ? RejectWhole(plan, value, "not-json", exception.Message)
                : RejectWhole(plan, value, "invalid-utf8", "the record is neither UTF-8 nor JSON");
        }
    }

    /// <summary>Splits one item of a record, as it stands in the topic's envelope: like a record that has no envelope around it.</summary>
    public static SplitRecord SplitItem(TopicConfiguration topic, ReadOnlyMemory<byte> item)
    {
        var split = Split(topic with { Envelope = [new EnvelopeForm(EnvelopeKind.Object)], Scope = TopicScope.Station }, item);
        return split with { Rejected = [.. split.Rejected.Select(rejected => rejected with { Form = RejectedForm.Item })] };
    }

    internal static SplitRecord RejectWhole(EnvelopePlan plan, ReadOnlyMemory<byte> value, string code, string detail) =>
        new(plan.IsGlobal, [], [new RejectedItem(0, new Rejection(code, detail), value, RejectedForm.Record)]);

    private static ReadOnlyMemory<byte> WithoutByteOrderMark(ReadOnlyMemory<byte> value) =>
        value.Span.StartsWith("\uFEFF"u8) ? value[3..] : value;
}
