using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Tests.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Records;

/// <summary>What holds for the splitter whatever the bytes are.</summary>
public class RecordSplitterPropertyTests
{
    private static readonly string[] Topics = [.. DefaultTopics.All.Keys];

    [Fact]
    public void Arbitrary_bytes_are_split_without_an_exception() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), Gen.Elements(Topics).ToArbitrary(), (bytes, topic) => IsSound(DefaultTopics.All[topic], bytes ?? []))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(2000));

    [Fact]
    public void Arbitrary_json_tokens_are_split_without_an_exception()
    {
        var tokens = Gen.Elements("{", "}", "[", "]", ",", ":", "\"stationId\"", "\"fee\"", "\"stations\"", "\"output\"", "\"S1\"", "0", "1.5", "null", "true", " ", "\"\\ud800\"", "\"\\u0061\"");
        Prop.ForAll(tokens.ArrayOf().ToArbitrary(), Gen.Elements(Topics).ToArbitrary(),
                (text, topic) => IsSound(DefaultTopics.All[topic], Encoding.UTF8.GetBytes(string.Concat(text))))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(5000));
    }

    [Fact]
    public void Mutated_records_are_split_without_an_exception()
    {
        var mutation = from position in Gen.Choose(0, 1000) from value in Gen.Choose(0, 255) from kind in Gen.Choose(0, 2) select (position, value, kind);
        Prop.ForAll(mutation.ArrayOf().ToArbitrary(), Gen.Elements(Topics).ToArbitrary(), (mutations, topic) =>
        {
            var bytes = Encoding.UTF8.GetBytes(SampleRecords.Wrap(topic, SampleRecords.Item(topic))).ToList();
            foreach (var (position, value, kind) in mutations.Take(4))
            {
                var at = position % bytes.Count;
                if (kind == 0) bytes[at] = (byte)value;
                else if (kind == 1) bytes.Insert(at, (byte)value);
                else if (bytes.Count > 1) bytes.RemoveAt(at);
            }

            return IsSound(DefaultTopics.All[topic], bytes.ToArray());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5000));
    }

    [Fact]
    public void Every_item_of_a_list_is_in_one_part_or_rejected_and_parts_come_in_increasing_index()
    {
        var item = Gen.Elements("""{"stationId":"A"}""", """{"stationId":"B"}""", """{"stationId":3}""", """{"stationId":"3"}""", "1", "{}", """{"stationId":0}""", """{"stationId":"C","x":1,"x":2}""");
        Prop.ForAll(item.ArrayOf().ToArbitrary(), items =>
        {
            var split = SampleRecords.Split(DefaultTopics.All[DefaultTopics.Param], DefaultTopics.Bytes($"[{string.Join(',', items)}]"));
            var kept = items.Select((text, index) => (text, index)).Where(pair => pair.text.Contains("stationId") && !pair.text.Contains(":0") && !pair.text.Contains("\"x\"")).ToList();
            split.Parts.Sum(part => part.ItemCount).ShouldBe(kept.Count);
            split.Rejected.Count.ShouldBe(items.Length - kept.Count);
            foreach (var part in split.Parts)
            {
                // 3 and "3" are the same station.
                var mine = kept.Where(pair => pair.text.Replace("\"3\"", "3").Contains($":{part.StationText}}}") || pair.text.Contains($"\"{part.StationText}\"")).ToList();
                mine[0].index.ShouldBe(part.Index);
                split.ItemsOf(part).ToArray().Select(bytes => Encoding.UTF8.GetString(bytes.Span)).ShouldBe(mine.Select(pair => pair.text));
            }

            return IsIncreasing(split.Parts.Select(part => part.Index)) && IsIncreasing(split.Rejected.Select(rejected => rejected.Index));
        }).QuickCheckThrowOnFailure();
    }

    private static bool IsSound(TopicConfiguration topic, byte[] bytes)
    {
        var split = SampleRecords.Split(topic, bytes);
        return IsIncreasing(split.Parts.Select(part => part.Index)) && IsIncreasing(split.Rejected.Select(item => item.Index))
            && split.Parts.Select(part => part.StationText).Distinct().Count() == split.Parts.Count
            && split.Parts.All(part => part.ItemCount > 0 && (split.IsGlobal || part.Station.Length > 0))
            && split.Rejected.All(item => item.Reason.Code.Length > 0);
    }

    private static bool IsIncreasing(IEnumerable<int> indexes) => indexes.Zip(indexes.Skip(1)).All(pair => pair.First < pair.Second);
}
