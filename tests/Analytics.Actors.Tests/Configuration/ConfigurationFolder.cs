using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Configuration;
using Analytics.Actors.Tests.Pipeline;

namespace Analytics.Actors.Tests.Configuration;

/// <summary>A folder of its own with a node's configuration file, gone after the test.</summary>
internal sealed class ConfigurationFolder : IDisposable
{
    /// <summary>The least that a node must be told.</summary>
    public const string Least = "\"kafka\": { \"bootstrapServers\": \"k1:9092\" }, \"store\": { \"path\": \"a.db\" }";

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("node-test-");

    public ConfigurationFolder(string text = $"{{ {Least} }}")
    {
        Node = In("node.json");
        File.WriteAllText(Node, text);
    }

    /// <summary>Path of the node's configuration file.</summary>
    public string Node { get; }

    public string In(string name) => Path.Combine(folder.FullName, name);

    /// <summary>Reads the options, with environment variables as name=value and arguments of --set.</summary>
    public NodeOptionsReading Read(string[]? environment = null, string[]? settings = null) =>
        NodeConfiguration.Read(Node, Environment(environment ?? []), settings ?? []);

    public NodeOptions Valid(string[]? environment = null, string[]? settings = null)
    {
        var reading = Read(environment, settings);
        reading.Problems.ShouldBeEmpty();
        return reading.Options.ShouldNotBeNull();
    }

    /// <summary>Runs <c>config check</c> on the default pipeline and this node's file.</summary>
    public (int ExitCode, string Error) Check(params string[] environment)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var exitCode = ConfigCheck.Run(PipelineFiles.Default, Node, Environment(environment), json: false, output, error);
        return (exitCode, error.ToString());
    }

    public void Dispose() => folder.Delete(recursive: true);

    public static Dictionary<string, string> Environment(params string[] variables) =>
        variables.Select(variable => variable.Split('=', 2)).ToDictionary(parts => parts[0], parts => parts[1]);
}
