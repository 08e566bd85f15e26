using System.Diagnostics;

namespace Analytics.Actors.Node.Cli;

/// <summary>This program once more, as a process of its own: its standard input is a pipe of ours, so that it ends with us.</summary>
internal static class OwnProgram
{
    // What an outer environment says of nodes is not meant for these.
    private static readonly string[] NodeVariables = ["LOG_LEVEL", "DATA_ANALYSIS_LOG", "DATA_ANALYSIS_CONFIG", "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"];

    /// <summary>How it is started with these arguments.</summary>
    public static ProcessStartInfo With(params IEnumerable<string> arguments)
    {
        // Run as an executable the program is itself; run by the runtime's host (a test's is one) it is a library to that.
        var host = Environment.ProcessPath ?? throw new InvalidOperationException("The path of this program is not known.");
        var name = Path.GetFileNameWithoutExtension(host);
        var isExecutable = name == typeof(OwnProgram).Assembly.GetName().Name;
        var start = new ProcessStartInfo(isExecutable || name == "dotnet" ? host : "dotnet", isExecutable ? arguments : arguments.Prepend(typeof(OwnProgram).Assembly.Location))
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        foreach (var variable in start.Environment.Keys.Where(key => key.StartsWith("ANALYTICS_", StringComparison.OrdinalIgnoreCase) || NodeVariables.Contains(key)).ToList()) start.Environment.Remove(variable);
        return start;
    }
}
