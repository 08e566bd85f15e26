using System.Text.Json.Nodes;
using Analytics.Actors.Core.Cluster;
using Analytics.Actors.Node.Http;

namespace Analytics.Actors.Tests.Http;

/// <summary>One answer of several nodes' answers.</summary>
public class ClusterMergeTests
{
    [Fact]
    public void Counts_are_added_up_also_of_names_that_only_one_node_has()
    {
        var sum = ClusterMerge.Counters(Of(
            """{"since":"2025-02-02","records":{"A":2},"checkpoint_seconds":0.5,"answers":1}""", """{"since":"2025-01-01","records":{"A":3,"B":1},"checkpoint_seconds":0.25,"late":4,"answers":2}"""));
        JsonNode.DeepEquals(sum, JsonNode.Parse("""{"since":"2025-01-01","records":{"A":5,"B":1},"checkpoint_seconds":0.75,"answers":3,"late":4,"nodes":["n0","n1"]}""")).ShouldBeTrue(sum.ToJsonString());
    }

    [Fact]
    public void A_module_is_one_line_installed_where_all_have_it()
    {
        var modules = ClusterMerge.Modules(Of(
            """[{"module":"a","installed":true,"topics":["T"],"calls":{"result":1}},{"module":"b","installed":true,"calls":{"result":0}}]""", """[{"module":"a","installed":false,"topics":["T"],"calls":{"result":2}}]"""));
        JsonNode.DeepEquals(modules, JsonNode.Parse(
            """[{"module":"a","installed":false,"topics":["T"],"calls":{"result":3},"nodes":["n0","n1"]},{"module":"b","installed":true,"calls":{"result":0},"nodes":["n0"]}]""")).ShouldBeTrue(modules.ToJsonString());
    }

    [Fact]
    public void Lists_are_ordered_by_numbers_as_numbers_and_name_their_nodes()
    {
        var shards = ClusterMerge.List(Of("""[{"shard":10,"epoch":1},{"shard":2,"epoch":7}]""", """[{"shard":9,"epoch":1},{"shard":2,"epoch":8}]"""), "shard", "epoch");
        shards.Select(line => ((int)line!["shard"]!, (int)line["epoch"]!, (string)line["node"]!)).ShouldBe([(2, 7, "n0"), (2, 8, "n1"), (9, 1, "n1"), (10, 1, "n0")]);
    }

    [Fact]
    public void Stations_of_all_nodes_and_of_the_store_make_one_page_after_another()
    {
        JsonObject Page(string after, int limit)
        {
            string Node(params string[] ids)
            {
                var rest = ids.Where(id => string.CompareOrdinal(id, after) > 0).ToList();
                var shown = rest.Take(limit).ToList();
                return new JsonObject
                {
                    ["station_count"] = ids.Length,
                    ["stations"] = new JsonArray([.. shown.Select(id => (JsonNode)new JsonObject { ["station"] = id })]),
                    ["next"] = rest.Count > limit ? shown[^1] : null,
                }.ToJsonString();
            }

            var stored = new[] { "c", "x" }.Where(id => string.CompareOrdinal(id, after) > 0).Select(id => ClusterMerge.Stale(new JsonObject { ["station"] = id }, "n2", 7.5));
            return ClusterMerge.Stations(Of(Node("a", "b", "d", "f"), Node("e", "g", "ü")), stored, limit);
        }

        List<string> seen = [];
        for (var after = ""; after is not null;)
        {
            var page = Page(after, 2);
            page["station_count"]!.GetValue<decimal>().ShouldBe(7);
            seen.AddRange(page["stations"]!.AsArray().Select(line => $"{line!["station"]}{line["node"]}{(ClusterMerge.IsTrue(line["stale"]) ? line["age_seconds"] : "")}"));
            after = page["next"]?.ToString();
        }

        seen.ShouldBe(["an0", "bn0", "cn27.5", "dn0", "en1", "fn0", "gn1", "xn27.5", "ün1"]);
    }

    [Fact]
    public void Batches_that_wait_come_first_the_oldest_before_the_others_then_those_that_ended_last()
    {
        var batches = ClusterMerge.Batches(Of(
            """[{"batch_id":"b","open":true,"opened":5,"ended":null},{"batch_id":"c","open":false,"opened":null,"ended":null},{"batch_id":"d","open":false,"opened":1,"ended":20}]""",
            """[{"batch_id":"a","open":true,"opened":4,"ended":null},{"batch_id":"e","open":false,"opened":1,"ended":30}]"""), 4);
        batches.Select(line => (string)line!["batch_id"]!).ShouldBe(["a", "b", "c", "e"]);
    }

    private static Picture Of(params string[] answers) =>
        new([.. answers.Select((text, index) => new NodeAnswer($"n{index}", 200, JsonNode.Parse(text)!))], Array.Empty<NodeRow>());
}
