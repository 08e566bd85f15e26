using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Tests.Windows;

namespace Analytics.Actors.Tests.Records;

/// <summary>One good item and one good record of station S1 for every topic of the default pipeline.</summary>
internal static class SampleRecords
{
    private static readonly Dictionary<string, string> ItemsByTopic = new()
    {
        [DefaultTopics.Param] = """{"stationId":"S1","stationLng":114.05,"stationLat":22.54,"gunNum":2,"gridCapacity":630.0,"meterId":"M1","powerNum":1,"normalCap":186.8,"hostCode":["H1"]}""",
        [DefaultTopics.Realtime] = """{"stationId":"S1","hostCode":"H1","sendTime":"2025-11-04 03:20:00","gunPower":{"gunNo":["01","02"],"outputPowerPerGunAvg":[1.5,2.5],"outputPowerPerGunMax":[3,4]},"outputPowerPerStationAvg":4.0,"outputPowerPerStationMax":7}""",
        [DefaultTopics.Calendar] = """{"date":"2025-11-11","isHoliday":0,"isWeekend":1,"name":"S1"}""",
        [DefaultTopics.Weather] = """{"stationId":"S1","weatherSituationYesterday":"sunny","seasonTomorrow":"winter","weatherSituationTomorrow":"rain"}""",
        [DefaultTopics.Meter] = """{"stationId":"S1","meterId":"M1","meterPower":12.5,"rmeterLimitPower":100}""",
        [DefaultTopics.Gun] = """{"stationId":"S1","sendTime":"2025-11-04 03:20:00","gunNo":["01","02"],"hostCode":["H1","H1"],"status":["idle","busy"]}""",
        [DefaultTopics.Error] = """{"stationId":"S1","hostError":["E1"],"acError":[],"dcError":[],"terminalError":[],"storageError":[]}""",
        [DefaultTopics.Dcdc] = """{"stationId":"S1","hostCode":"H1","dcWorkStatus":["00","01"],"dcdcPower":[0.0,3.0]}""",
        [DefaultTopics.Acdc] = """{"stationId":"S1","hostCode":"H1","acPower":100.5}""",
        [DefaultTopics.Storage] = """{"stationId":"S1","storageCode":"B1","hostCode":"H1","batteryGroupSoc":12}""",
        [DefaultTopics.Pv] = """{"stationId":"S1","pvId":"PV1","pvPreDcPower":[1,2]}""",
        [DefaultTopics.Order] = """{"stationId":"S1","transactionSerialNo":"a","gunNo":"01","soc":50.5}""",
        [DefaultTopics.Price] = """{"stationId":"S1","sendTime":"2025-10-21 18:58:13","peakElectricFee":0.8,"flatElectricFee":0.7,"feeNo1":"01","feeNo3":"02"}""",
    };

    /// <summary>A record taken apart, into an object of its own.</summary>
    public static SplitRecord Split(TopicConfiguration topic, ReadOnlyMemory<byte> record)
    {
        var split = new SplitRecord();
        RecordSplitter.Split(topic, record, split);
        return split;
    }

    public static string Item(string topic) => ItemsByTopic.GetValueOrDefault(topic, """{"station_id":"S1","pv":[1,2.5],"score":4}""");

    public static string Of(string topic) => Wrap(topic, Item(topic));

    public static string Wrap(string topic, string items)
    {
        var form = DefaultTopics.All[topic].Envelope[0];
        return form.Member is not null ? $$"""{"{{form.Member}}":[{{items}}]}"""
            : form.Kind == Core.Pipeline.EnvelopeKind.List ? $"[{items}]" : items;
    }
}
