namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Pipelines with no more in them than a test needs, and records for them.</summary>
internal static class SmallPipelines
{
    public const string Meters = "METERS", Params = "PARAMS", Orders = "ORDERS", Calendar = "CALENDAR";

    /// <summary>One list topic with one value per station, and one module "m" on it.</summary>
    public static string OneModule(string moduleOptions = "", string topicOptions = "") => Build(
        $$"""{{Quote(Meters)}}: { "envelope": "list", "fields": ["value"]{{Also(topicOptions)}} }""",
        $$""" "m": { "topics": ["METERS"]{{Also(moduleOptions)}} }""");

    /// <summary>METERS and PARAMS (lists), ORDERS by the second, and the global CALENDAR, with the modules given.</summary>
    public static string With(string modules) => Build(
        """
        "METERS": { "envelope": "list", "fields": ["value"] },
        "PARAMS": { "envelope": "list", "fields": ["capacity"] },
        "ORDERS": { "envelope": ["object", "list"], "mode": "second", "window": 2, "shape": { "kind": "orders", "member": "car_order" } },
        "CALENDAR": { "scope": "global", "envelope": "object", "fields": ["day"], "triggers": false }
        """, modules);

    public static string Build(string topics, string modules) => $$"""{ "topics": { {{topics}} }, "modules": { {{modules}} } }""";

    /// <summary>A record of METERS: the same value for each of the stations.</summary>
    public static string Values(int value, params string[] stations) =>
        "[" + string.Join(",", stations.Select(station => $$"""{"stationId":"{{station}}","value":{{value}}}""")) + "]";

    public static string Order(string station, int number) => $$"""{"stationId":"{{station}}","no":{{number}}}""";

    private static string Quote(string text) => $"\"{text}\"";

    private static string Also(string options) => options.Length == 0 ? "" : ", " + options;
}
