using System.Text;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Windows;

namespace Analytics.Actors.Tests.Pipeline;

/// <summary>
/// Every node of the default pipeline, deleted and changed to each of several wrong values: what comes out is a valid
/// configuration or a list of messages, never an exception. Complete, so there is nothing to draw at random.
/// </summary>
public class EveryNodeTests
{
    private static readonly string[] WrongValues = ["\"x\"", "-1", "0", "null", "true", "[]", "{}", "1e400", $"\"{new string('y', 70_000)}\"", "[[]]", "{\"a\":{}}", "\"\\u0000\""];

    [Fact]
    public void Deleting_or_changing_any_node_gives_a_valid_pipeline_or_messages()
    {
        var paths = PathsOf(PipelineFiles.DefaultJson()).ToList();
        paths.Count.ShouldBeGreaterThan(250);
        int valid = 0, refused = 0;
        foreach (var path in paths)
        {
            foreach (var wrong in WrongValues.Prepend(null))
            {
                var reading = PipelineReader.Read(Changed(path, wrong), "pipeline.json");
                var place = $"{string.Join('/', path)} := {(wrong is { Length: > 40 } ? "long" : wrong ?? "deleted")}";
                (reading.Configuration is null).ShouldBe(reading.Problems.Count > 0, place);
                if (reading.Configuration is null) refused++;
                else
                {
                    valid++;
                    // What the reader lets pass, the windows can be made of.
                    foreach (var topic in reading.Configuration.Topics.Values) TopicWindows.Refuse(topic).ShouldBeNull(place);
                }

                foreach (var problem in reading.Problems)
                {
                    problem.Path.ShouldNotBeNullOrEmpty(place);
                    problem.Rule.ShouldNotBeNullOrEmpty(place);
                    problem.ToString().ShouldNotContain("Exception", customMessage: place);
                    problem.ToString().Length.ShouldBeLessThan(2_000, place);
                }

                // No key takes a null; only a field's default may be one.
                if (wrong == "null" && path[^1] is not "default") reading.Problems.ShouldNotBeEmpty(place);
            }
        }

        // A reader that refused or took everything would pass the checks above.
        valid.ShouldBeGreaterThan(300);
        refused.ShouldBeGreaterThan(2_000);
    }

    [Fact]
    public void The_same_through_config_check_ends_with_0_or_2()
    {
        var folder = Directory.CreateTempSubdirectory("pipeline-test-");
        try
        {
            var file = Path.Combine(folder.FullName, "pipeline.json");
            foreach (var path in PathsOf(PipelineFiles.DefaultJson()))
            {
                File.WriteAllBytes(file, Changed(path, "-1"));
                var run = PipelineFiles.CheckFile(file);
                run.ExitCode.ShouldBeOneOf(0, 2);
                (run.Lines.Count > 0).ShouldBe(run.ExitCode == 2);
                run.Lines.ShouldAllBe(line => line.StartsWith($"{file}: ") && line.Contains(": value \""));
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void An_unknown_key_in_any_object_is_refused()
    {
        foreach (var path in PathsOf(PipelineFiles.DefaultJson()).Prepend([]))
        {
            var root = PipelineFiles.DefaultJson();
            if (NodeAt(root, path) is not JsonObject target) continue;
            target["colour"] = 7;
            var reading = PipelineReader.Read(Encoding.UTF8.GetBytes(root.ToJsonString()), "pipeline.json");
            reading.Problems.ShouldContain(problem => problem.Path.EndsWith("colour", StringComparison.Ordinal), string.Join('/', path));
        }
    }

    private static byte[] Changed(object[] path, string? wrong)
    {
        var root = PipelineFiles.DefaultJson();
        var parent = NodeAt(root, path[..^1]);
        // A placeholder: JsonNode cannot hold what no JSON library would write, such as 1e400.
        const string placeholder = "\"<placeholder>\"";
        switch (parent)
        {
            case JsonObject members when wrong is null: members.Remove((string)path[^1]); break;
            case JsonArray entries when wrong is null: entries.RemoveAt((int)path[^1]); break;
            case JsonObject members: members[(string)path[^1]] = JsonNode.Parse(placeholder); break;
            case JsonArray entries: entries[(int)path[^1]] = JsonNode.Parse(placeholder); break;
        }

        var text = root.ToJsonString(new System.Text.Json.JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        return Encoding.UTF8.GetBytes(wrong is null ? text : text.Replace(placeholder, wrong, StringComparison.Ordinal));
    }

    private static JsonNode? NodeAt(JsonNode? node, IEnumerable<object> path)
    {
        foreach (var step in path) node = step is string key ? node![key] : node![(int)step];
        return node;
    }

    private static IEnumerable<object[]> PathsOf(JsonNode? node)
    {
        IEnumerable<(object Step, JsonNode? Child)> children = node switch
        {
            JsonObject members => members.Select(member => ((object)member.Key, member.Value)),
            JsonArray entries => entries.Select((entry, index) => ((object)index, entry)),
            _ => [],
        };
        foreach (var (step, child) in children)
        {
            yield return [step];
            foreach (var below in PathsOf(child)) yield return [step, .. below];
        }
    }
}
