using Analytics.Actors.Storage;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>A directory for the databases of a measurement; it goes with them.</summary>
internal sealed class TemporaryStore : IDisposable
{
    private readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("analytics-bench-");

    public string PathOf(string name) => Path.Combine(directory.FullName, name);

    /// <summary>A SQLite store of this name, new or as it was left.</summary>
    public SqliteCheckpointStore Open(string name) => new(PathOf(name));

    public void Dispose() => directory.Delete(recursive: true);
}
