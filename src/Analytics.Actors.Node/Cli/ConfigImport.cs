using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Node.Import;

namespace Analytics.Actors.Node.Cli;

/// <summary>
/// <c>analytics config import FILE</c>: writes a node's configuration and a pipeline from the Python library's
/// configuration, and says on standard output what became of each key.
/// </summary>
public static class ConfigImport
{
    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonDocumentOptions Lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <summary>Imports one file. Wrong arguments, or a result that would not start, are <see cref="BadArgumentsException"/>.</summary>
    /// <returns>0.</returns>
    public static int Run(string file, string nodeFile, string pipelineFile, bool force, bool json, TextWriter output)
    {
        var problems = new ConfigurationProblems(file);
        if (!ConfigurationFile.TryRead(file, problems, out var bytes)) throw new BadArgumentsException(string.Join(Environment.NewLine, problems.Found));
        foreach (var written in new[] { nodeFile, pipelineFile })
        {
            if (!force && File.Exists(written)) throw new BadArgumentsException($"{written} exists already; --force overwrites it");
        }

        var (source, rest) = Read(file, Encoding.UTF8.GetString(bytes));
        if (source.Count == 0) throw new BadArgumentsException($"{file}: nothing in it is a configuration of the Python library{string.Concat(rest.Select(part => $"{Environment.NewLine}line {part.Line}: {part.Why}"))}");
        var defaults = (JsonObject)JsonNode.Parse(File.ReadAllBytes(Files.DefaultPipeline), documentOptions: Lenient)!;
        var imported = PythonImport.Run(source, defaults);
        imported.Node["pipeline"] = Path.GetRelativePath(Path.GetDirectoryName(Path.GetFullPath(nodeFile))!, Path.GetFullPath(pipelineFile));
        var (node, pipeline) = (imported.Node.ToJsonString(Readable), imported.Pipeline.ToJsonString(Readable));
        Write(file, nodeFile, node, pipelineFile, pipeline);
        if (json) output.WriteLine(Report(nodeFile, pipelineFile, imported, rest).ToJsonString(Readable));
        else Tell(nodeFile, pipelineFile, imported, rest, output);
        return 0;
    }

    private static (JsonObject Source, IReadOnlyList<NotUnderstood> Others) Read(string file, string text)
    {
        if (!file.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase) && !file.EndsWith(".yml", StringComparison.OrdinalIgnoreCase)) return PythonLiteral.Read(text);
        try
        {
            return (YamlTree.Read(text), []);
        }
        catch (FormatException wrong)
        {
            throw new BadArgumentsException($"{file}: {wrong.Message}");
        }
    }

    // What is written has to pass what a start looks at; the check reads a file.
    private static void Write(string file, string nodeFile, string node, string pipelineFile, string pipeline)
    {
        var read = PipelineReader.Read(Encoding.UTF8.GetBytes(pipeline), pipelineFile);
        List<ConfigurationProblem> problems = [.. read.Problems];
        var draft = nodeFile + ".new";
        try
        {
            File.WriteAllText(draft, node + "\n");
            var options = NodeConfiguration.Read(draft, new Dictionary<string, string>(), []);
            problems.AddRange(options.Problems);
            if (read.Configuration is not null && options.Options is not null) problems.AddRange(ConfigCheck.Compare(pipelineFile, read.Configuration, options.Options));
            if (problems.Count == 0)
            {
                File.WriteAllText(pipelineFile, pipeline + "\n");
                File.Move(draft, nodeFile, overwrite: true);
                return;
            }
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new BadArgumentsException($"{nodeFile} or {pipelineFile} cannot be written: {refused.Message}");
        }
        finally
        {
            File.Delete(draft);
        }

        throw new BadArgumentsException($"{file} cannot be imported as it is, nothing was written:{Environment.NewLine}{string.Join(Environment.NewLine, problems)}");
    }

    private static void Tell(string nodeFile, string pipelineFile, ImportResult imported, IReadOnlyList<NotUnderstood> rest, TextWriter output)
    {
        foreach (var (fate, title) in new[] { (KeyFate.Taken, "taken over as"), (KeyFate.NotNeeded, "not needed, because"), (KeyFate.Refused, "cannot be taken over, because") })
        {
            var keys = imported.Keys.Where(key => key.Fate == fate).ToList();
            if (keys.Count == 0) continue;
            output.WriteLine($"{title}:");
            foreach (var key in keys) output.WriteLine($"  {key.Key}: {key.Text}");
        }

        if (rest.Count > 0) output.WriteLine("not understood:");
        foreach (var part in rest) output.WriteLine($"  line {part.Line}: {part.Why}");
        output.WriteLine($"written: {nodeFile}, {pipelineFile}");
        output.WriteLine($"next: analytics config check --pipeline {pipelineFile} --config {nodeFile}; choose \"store\" (a PostgreSQL database by DATABASE_URL) and enable the modules that have code");
    }

    private static JsonObject Report(string nodeFile, string pipelineFile, ImportResult imported, IReadOnlyList<NotUnderstood> rest) => new()
    {
        ["node"] = nodeFile,
        ["pipeline"] = pipelineFile,
        ["keys"] = new JsonArray([.. imported.Keys.Select(key => (JsonNode)new JsonObject
        {
            ["key"] = key.Key,
            ["fate"] = key.Fate switch { KeyFate.Taken => "taken", KeyFate.NotNeeded => "not_needed", _ => "refused" },
            ["text"] = key.Text,
        })]),
        ["not_understood"] = new JsonArray([.. rest.Select(part => (JsonNode)new JsonObject { ["line"] = part.Line, ["why"] = part.Why })]),
    };
}
