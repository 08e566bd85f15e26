using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Tests.Demo;

/// <summary>A pipeline as far as the demo's ledger looks at one: three modules, one of them fed by the other two.</summary>
internal static class DemoPipeline
{
    public const string LoadOutput = "MODULE-OUTPUT-LOAD_PREDICTION";
    public const string EvaluationOutput = "MODULE-OUTPUT-EVALUATION_MODEL";
    public const string GuidanceOutput = "MODULE-OUTPUT-STATION_GUIDANCE";

    public static PipelineConfiguration Create(UploadFormat format = UploadFormat.Current, BatchKind batch = BatchKind.Record)
    {
        var topics = ScheduleTopics.All.ToDictionary(name => name, name => Topic(name) with
        {
            Scope = name == ScheduleTopics.Calendar ? TopicScope.Global : TopicScope.Station,
            Triggers = name != ScheduleTopics.Calendar,
            Mode = name == ScheduleTopics.CarOrder ? UpdateMode.Second : UpdateMode.Append,
        });
        ModuleConfiguration[] modules =
        [
            Module("load_prediction", LoadOutput, [ScheduleTopics.StationParam, ScheduleTopics.RealtimeData, ScheduleTopics.Calendar]),
            Module("evaluation_model", EvaluationOutput,
                [
                    ScheduleTopics.StationParam, ScheduleTopics.RealtimeData, ScheduleTopics.CarOrder, ScheduleTopics.CarPrice,
                    ScheduleTopics.HostDcdc, ScheduleTopics.HostAcdc, ScheduleTopics.Storage,
                ],
                [ScheduleTopics.StationParam, ScheduleTopics.RealtimeData]),
            Module("station_guidance", GuidanceOutput, [ScheduleTopics.CarOrder, LoadOutput, EvaluationOutput]),
            Module("customer_mining", "MODULE-OUTPUT-CUSTOMER_MINING", [ScheduleTopics.CarOrder]) with { Enabled = false },
        ];
        foreach (var module in modules) topics.Add(module.OutputTopic, Topic(module.OutputTopic) with { OutputOf = module.Name });
        return new PipelineConfiguration
        {
            TimeZone = TimeSpan.FromHours(8),
            Topics = topics,
            Modules = modules.ToDictionary(module => module.Name, module => module with { UploadFormat = format, Batch = new BatchConfiguration { Kind = batch } }),
        };
    }

    private static TopicConfiguration Topic(string name) =>
        new() { Name = name, Envelope = [new EnvelopeForm(EnvelopeKind.Object)], StationPaths = ["stationId", "station_id"] };

    private static ModuleConfiguration Module(string name, string output, string[] topics, string[]? required = null) =>
        new() { Name = name, Topics = topics, RequiredTopics = required ?? topics, OutputTopic = output };
}
