using Analytics.Actors.Core.Routing;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>What a plan says of a change: what it does, what of it routes otherwise, and what is refused.</summary>
public class ConfigurationPlanTests
{
    private const string Topic = """ "station": "stationId", "envelope": "object", "mode": "append", "window": 3, "shape": "fields", "fields": ["a"] """;
    private const string Module = """ "topics": ["METERS"] """;
    private readonly string before = Text(Topic, Module);

    [Fact]
    public void The_same_file_changes_nothing() => Plan(before).ShouldSatisfyAllConditions(
        plan => plan.Changes.ShouldBeEmpty(), plan => plan.Refused.ShouldBeEmpty(), plan => plan.Rerouted.ShouldBeEmpty());

    [Theory]
    [InlineData("\"window\": 3", "\"window\": 5", "windows are kept, and grow")]
    [InlineData("\"window\": 3", "\"window\": 2", "windows are cut to the newest")]
    [InlineData("\"fields\": [\"a\"]", "\"fields\": [\"b\"]", "windows keep what still fits")]
    [InlineData("\"window\": 3", "\"window\": 3, \"ttl\": \"1h\"", "what is older is dropped")]
    [InlineData("\"mode\": \"append\", \"window\": 3, \"shape\": \"fields\", \"fields\": [\"a\"]", "\"mode\": \"second\", \"window\": 3, \"shape\": { \"kind\": \"orders\", \"member\": \"car_order\" }", "windows are of another kind: emptied")]
    public void What_changes_windows_routes_nothing_otherwise(string old, string changed, string effect)
    {
        var plan = Plan(Text(Topic.Replace(old, changed, StringComparison.Ordinal), Module));
        plan.Changes.ShouldContain(change => change.What == "topic METERS" && change.Effect.Contains(effect));
        plan.Rerouted.ShouldBeEmpty();
        plan.Refused.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("\"envelope\": \"object\"", "\"envelope\": \"list\"", "topic METERS")]
    [InlineData("\"station\": \"stationId\"", "\"station\": \"id\"", "topic METERS")]
    [InlineData("\"window\": 3", "\"window\": 3, \"triggers\": false", "batches of METERS")]
    public void What_routes_otherwise_is_named(string old, string changed, string rule) =>
        Plan(Text(Topic.Replace(old, changed, StringComparison.Ordinal), """ "topics": ["METERS"], "trigger": { "event": true, "interval": "1h" } """)).Rerouted.ShouldContain(changed => changed.Name == rule);

    [Fact]
    public void Modules_come_and_go_by_their_batches()
    {
        var added = Plan(Text(Topic, Module, """, "extra": { "topics": ["METERS"] } """));
        added.Changes.ShouldContain(change => change.What == "module extra" && change.Change == "added");
        added.Rerouted.Single(rule => rule.Name == "batches of METERS").Given.ShouldBe("m, extra");
        var alone = Plan(Text(Topic, Module, """, "extra": { "topics": ["METERS"], "batch": "none" } """));
        alone.Rerouted.Select(rule => rule.Name).ShouldNotContain("batches of METERS");
        var disabled = Plan(Text(Topic, Module + ", \"enabled\": false"));
        disabled.Changes.ShouldContain(change => change.What == "module m" && change.Change == "disabled");
        disabled.Rerouted.Single().Given.ShouldBe("");
    }

    [Fact]
    public void A_topic_of_another_scope_is_refused_with_what_to_do()
    {
        var plan = Plan(Text(Topic.Replace("\"station\": \"stationId\"", "\"scope\": \"global\", \"triggers\": false", StringComparison.Ordinal), """ "topics": ["METERS"], "trigger": { "interval": "1h" } """));
        plan.Refused.Single().Effect.ShouldStartWith("remove the topic, apply, and declare it anew");
    }

    private ConfigurationPlan Plan(string after) => ConfigurationPlan.Of(PipelineFiles.Valid(before), PipelineFiles.Valid(after));

    private static string Text(string topic, string module, string more = "") => $$"""{ "topics": { "METERS": { {{topic}} } }, "modules": { "m": { {{module}} }{{more}} } }""";
}
