using System.Text.Json.Nodes;

namespace Analytics.Actors.Node.Bench;

/// <summary>Pipelines of workloads, changed for a scenario.</summary>
internal static class BenchPipelines
{
    public static string Edit(string pipeline, Action<JsonObject> edit)
    {
        var root = JsonNode.Parse(pipeline)!.AsObject();
        edit(root);
        return root.ToJsonString();
    }

    /// <summary>Each record of the topic has one module called, and each call makes one upload.</summary>
    public static string WithEcho(string pipeline, string topic) => Edit(pipeline, root => root["modules"] = new JsonObject
    {
        [Echo.ModuleName] = new JsonObject { ["topics"] = new JsonArray(topic), ["onIncomplete"] = "wait" },
    });
}
