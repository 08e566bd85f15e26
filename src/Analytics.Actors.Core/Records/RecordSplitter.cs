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
    /// <param name="into">Gets what the record holds; what it held before is gone.</param>
    public static void Split(TopicConfiguration topic, ReadOnlyMemory<byte> value, SplitRecord into)
    {
        var plan = EnvelopePlan.For(topic);
        into.Clear();
        var json = WithoutByteOrderMark(value);
        if (json.IsEmpty)
        {
            RejectWhole(plan, value, "empty", "the record has no value", into);
            return;
        }

        var isUtf8 = Utf8.IsValid(json.Span);
        if (isUtf8 && new PlainRecord(plan, json, into).TrySplit()) return;
        SplitGenerally(plan, value, json, isUtf8, into);
    }

    /// <summary>Splits one item of a record, as it stands in the topic's envelope: like a record that has no envelope around it.</summary>
    public static void SplitItem(TopicConfiguration topic, ReadOnlyMemory<byte> item, SplitRecord into)
    {
        Split(topic with { Envelope = [new EnvelopeForm(EnvelopeKind.Object)], Scope = TopicScope.Station }, item, into);
        for (var i = 0; i < into.Rejected.Count; i++) into.Rejected[i] = into.Rejected[i] with { Form = RejectedForm.Item };
    }

    /// <summary>Splits whatever the bytes are.</summary>
    /// <param name="json">The value without a byte order mark.</param>
    internal static void SplitGenerally(EnvelopePlan plan, ReadOnlyMemory<byte> value, ReadOnlyMemory<byte> json, bool isUtf8, SplitRecord into)
    {
        into.Clear();
        try
        {
            new RecordScanner(plan, json, isUtf8, into).Split();
        }
        catch (JsonException exception)
        {
            if (isUtf8) RejectWhole(plan, value, "not-json", exception.Message, into);
            else RejectWhole(plan, value, "invalid-utf8", "the record is neither UTF-8 nor JSON", into);
        }
    }

    internal static void RejectWhole(EnvelopePlan plan, ReadOnlyMemory<byte> value, string code, string detail, SplitRecord into)
    {
        into.Clear(plan.IsGlobal);
        into.Rejected.Add(new RejectedItem(0, new Rejection(code, detail), value, RejectedForm.Record));
    }

    private static ReadOnlyMemory<byte> WithoutByteOrderMark(ReadOnlyMemory<byte> value) =>
        value.Span.StartsWith("\uFEFF"u8) ? value[3..] : value;
}
