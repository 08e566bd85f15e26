using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Node.Configuration;

/// <summary>Reads a configuration file's bytes; what goes wrong becomes a problem like any other.</summary>
public static class ConfigurationFile
{
    /// <summary>No configuration is longer; a wrong path may name anything.</summary>
    private const long BytesMax = 16 * 1024 * 1024;

    public static bool TryRead(string file, ConfigurationProblems problems, out byte[] bytes)
    {
        bytes = [];
        try
        {
            var info = new FileInfo(file);
            if (Directory.Exists(file)) problems.Add("(file)", "", "is a directory; name a file");
            else if (!info.Exists) problems.Add("(file)", "", "does not exist");
            else if (info.Length > BytesMax) problems.Add("(file)", "", $"is longer than {BytesMax} bytes; that is no configuration");
            else
            {
                bytes = File.ReadAllBytes(file);
                return true;
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            problems.Add("(file)", "", $"cannot be read: {exception.Message}");
        }

        return false;
    }

    /// <summary>Reads a pipeline file.</summary>
    public static PipelineReading ReadPipeline(string file)
    {
        var problems = new ConfigurationProblems(file);
        return TryRead(file, problems, out var bytes) ? PipelineReader.Read(bytes, file) : new PipelineReading(null, problems.Found);
    }
}
