using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Configuration;

namespace Analytics.Actors.Node.Cli;

/// <summary>Files that verbs read.</summary>
internal static class Files
{
    /// <summary>cluster-config/pipeline.json in the current directory, else the one beside the program.</summary>
    public static string DefaultPipeline
    {
        get
        {
            var here = Path.Combine("cluster-config", "pipeline.json");
            return File.Exists(here) ? here : Path.Combine(AppContext.BaseDirectory, here);
        }
    }

    /// <summary>Reads a pipeline; what is wrong with it ends the verb with exit code 2.</summary>
    public static PipelineConfiguration Pipeline(string? file)
    {
        var reading = ConfigurationFile.ReadPipeline(file ?? DefaultPipeline);
        return reading.Configuration ?? throw new BadArgumentsException(string.Join(Environment.NewLine, reading.Problems));
    }
}
