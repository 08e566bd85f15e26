using System.Text;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Windows;

/// <summary>The topics and modules of the pipeline file that is shipped, so that what holds here holds for users.</summary>
internal static class DefaultTopics
{
    public const string Param = "SCHEDULE-STATION-PARAM";
    public const string Realtime = "SCHEDULE-STATION-REALTIME-DATA";
    public const string Calendar = "SCHEDULE-ENVIRONMENT-CALENDAR";
    public const string Weather = "SCHEDULE-ENVIRONMENT-WEATHER";
    public const string Meter = "SCHEDULE-DEVICE-METER";
    public const string Gun = "SCHEDULE-DEVICE-GUN";
    public const string Error = "SCHEDULE-DEVICE-ERROR";
    public const string Dcdc = "SCHEDULE-DEVICE-HOST-DCDC";
    public const string Acdc = "SCHEDULE-DEVICE-HOST-ACDC";
    public const string Storage = "SCHEDULE-DEVICE-STORAGE";
    public const string Pv = "SCHEDULE-DEVICE-PV";
    public const string Order = "SCHEDULE-CAR-ORDER";
    public const string Price = "SCHEDULE-CAR-PRICE";

    private static readonly PipelineConfiguration Pipeline = PipelineFiles.DefaultConfiguration();

    public static TimeSpan Zone => Pipeline.TimeZone;

    public static IReadOnlyDictionary<string, TopicConfiguration> All => Pipeline.Topics;

    /// <summary>Topics in merge order, the outputs of dependencies last.</summary>
    public static IReadOnlyDictionary<string, string[]> Modules { get; } =
        Pipeline.Modules.Values.ToDictionary(module => module.Name, module => module.Topics.ToArray());

    public static string Output(string module) => "MODULE-OUTPUT-" + module.ToUpperInvariant();

    public static TopicWindow Window(string topic) => TopicWindows.Create(All[topic], Zone);

    public static TopicWindow Window(TopicConfiguration topic) => TopicWindows.Create(topic, Zone);

    public static ReadOnlyMemory<byte> Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public static ReadOnlyMemory<byte>[] Items(params string[] items) => Array.ConvertAll(items, Bytes);
}
