namespace Analytics.Actors.Integration.Support;

/// <summary>A folder of its own for one test's files, gone with it.</summary>
internal sealed class TestFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("analytics-test-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, true);
        }
        catch (IOException)
        {
            // A process that was killed may still let go of its files; the folder lies in the temporary directory.
        }
    }
}
