using System.Text.Encodings.Web;
using System.Text.Json;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Configuration;

namespace Analytics.Actors.Node.Cli;

/// <summary>
/// <c>analytics config check</c>: says what a start would say of the pipeline and the node's configuration, without one.
/// Problems go to standard error, one a line: <c>file: path: value "x": rule</c>; with <c>--json</c> to standard output.
/// </summary>
public static class ConfigCheck
{
    private const int Done = 0;
    private const int BadConfiguration = 2;
    private static readonly JsonWriterOptions Readable = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Checks the files, the node's with this process's environment.</summary>
    /// <returns>0, or 2 where something is wrong.</returns>
    public static int Run(string pipelinePath, string? nodeConfigPath, bool json, TextWriter output, TextWriter error) =>
        Run(pipelinePath, nodeConfigPath, NodeConfiguration.ProcessEnvironment(), json, output, error);

    internal static int Run(
        string pipelinePath, string? nodeConfigPath, IReadOnlyDictionary<string, string> environment, bool json, TextWriter output, TextWriter error)
    {
        var pipeline = ConfigurationFile.ReadPipeline(pipelinePath);
        var problems = new List<ConfigurationProblem>(pipeline.Problems);
        if (nodeConfigPath is not null)
        {
            var node = NodeConfiguration.Read(nodeConfigPath, environment, []);
            problems.AddRange(node.Problems);
            if (pipeline.Configuration is not null && node.Options is not null) problems.AddRange(Compare(pipelinePath, pipeline.Configuration, node.Options));
        }

        if (json) WriteJson(problems, pipeline.Configuration, output);
        else if (problems.Count > 0) problems.ForEach(problem => error.WriteLine(problem));
        else output.WriteLine($"{pipelinePath}: {Summary(pipeline.Configuration!)}");
        return problems.Count > 0 ? BadConfiguration : Done;
    }

    /// <summary>What only shows when the pipeline and the node's options meet; a starting node checks it too.</summary>
    public static IReadOnlyList<ConfigurationProblem> Compare(string pipelinePath, PipelineConfiguration pipeline, NodeOptions node)
    {
        var problems = new ConfigurationProblems(pipelinePath);
        foreach (var module in pipeline.Modules.Values.Where(module => !node.Pools.ContainsKey(module.Pool)))
        {
            problems.Add($"modules.{module.Name}.pool", module.Pool,
                $"must be a pool of the node's configuration: {ConfigurationValue.Alternatives([.. node.Pools.Keys])}");
        }

        foreach (var topic in pipeline.Topics.Values.Where(topic => topic.Name.StartsWith($"{node.Group}.", StringComparison.Ordinal)))
        {
            problems.Add(ConfigurationProblems.Join("topics", topic.Name), topic.Name,
                $"must not begin with \"{node.Group}.\": such names belong to the internal topics of the group");
        }

        return problems.Found;
    }

    private static string Summary(PipelineConfiguration pipeline) =>
        $"{pipeline.Topics.Count} topics, {pipeline.Modules.Count} modules ({pipeline.Modules.Values.Count(module => module.Enabled)} enabled), no problems";

    private static void WriteJson(List<ConfigurationProblem> problems, PipelineConfiguration? pipeline, TextWriter output)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Readable))
        {
            writer.WriteStartObject();
            writer.WriteBoolean("valid", problems.Count == 0);
            if (problems.Count == 0 && pipeline is not null)
            {
                writer.WriteNumber("topics", pipeline.Topics.Count);
                writer.WriteNumber("modules", pipeline.Modules.Count);
            }

            writer.WriteStartArray("problems");
            foreach (var problem in problems)
            {
                writer.WriteStartObject();
                writer.WriteString("file", problem.File);
                writer.WriteString("path", problem.Path);
                writer.WriteString("value", problem.Value);
                writer.WriteString("rule", problem.Rule);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        output.WriteLine(System.Text.Encoding.UTF8.GetString(buffer.ToArray()));
    }
}
