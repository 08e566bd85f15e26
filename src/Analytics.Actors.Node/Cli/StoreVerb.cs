using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verbs <c>store show</c> and <c>store renew</c>: the database that a node's configuration names, without a node.</summary>
internal static class StoreVerb
{
    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static async Task<int> ShowAsync(string? config, IReadOnlyList<string> settings, bool json, TextWriter output, CancellationToken stop)
    {
        await using var store = Connect(config, settings);
        var found = await store.DescribeAsync(stop).ConfigureAwait(false);
        if (json)
        {
            await output.WriteLineAsync(ToJson(found).ToJsonString(Readable)).ConfigureAwait(false);
            return Verbs.Done;
        }

        await output.WriteLineAsync($"{found.Kind}: {found.Place}").ConfigureAwait(false);
        var earlier = found.EarlierIds.Count > 0 ? $" (before: {string.Join(", ", found.EarlierIds)})" : "";
        await output.WriteLineAsync($"store id {found.StoreId}{earlier}, group {found.Group}, schema version {found.SchemaVersion}, {found.Shards.Count} shards").ConfigureAwait(false);
        await output.WriteLineAsync("shard           epoch  checkpoint  owner").ConfigureAwait(false);
        foreach (var shard in found.Shards)
        {
            var owner = shard.Owner.Length == 0 ? "-" : shard.ReleasedInOrder ? $"{shard.Owner} (released)" : shard.Owner;
            await output.WriteLineAsync($"{shard.Shard.Value,5}  {shard.Epoch.Value,14}  {shard.CheckpointNumber,10}  {owner}").ConfigureAwait(false);
        }

        return Verbs.Done;
    }

    public static async Task<int> RenewAsync(string? config, IReadOnlyList<string> settings, bool force, bool json, TextWriter output, CancellationToken stop)
    {
        await using var store = Connect(config, settings);
        var renewal = await store.RenewAsync(force, stop).ConfigureAwait(false);
        await output.WriteLineAsync(json
            ? new JsonObject { ["before"] = renewal.Before, ["after"] = renewal.After, ["shards"] = renewal.Shards }.ToJsonString(Readable)
            : $"the store id is {renewal.After}, it was {renewal.Before}; {renewal.Shards} shards have a new epoch").ConfigureAwait(false);
        return Verbs.Done;
    }

    private static IStoreAdministration Connect(string? config, IReadOnlyList<string> settings)
    {
        var reading = NodeConfiguration.Read(config, NodeConfiguration.ProcessEnvironment(), settings);
        return reading.Options is { } options
            ? (IStoreAdministration)options.Store.Connect()
            : throw new BadArgumentsException(string.Join(Environment.NewLine, reading.Problems));
    }

    private static JsonObject ToJson(StoreDescription store) => new()
    {
        ["kind"] = store.Kind,
        ["place"] = store.Place,
        ["store_id"] = store.StoreId,
        ["earlier_ids"] = new JsonArray([.. store.EarlierIds.Select(id => (JsonNode)id)]),
        ["group"] = store.Group,
        ["schema_version"] = store.SchemaVersion,
        ["shards"] = new JsonArray([.. store.Shards.Select(shard => (JsonNode)new JsonObject
        {
            ["shard"] = shard.Shard.Value,
            ["epoch"] = shard.Epoch.Value,
            ["checkpoint"] = shard.CheckpointNumber,
            ["owner"] = shard.Owner,
            ["released"] = shard.ReleasedInOrder,
        })]),
    };
}
