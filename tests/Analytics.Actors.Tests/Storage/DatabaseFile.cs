using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Storage;

/// <summary>A directory of its own for one test's database file, removed afterwards.</summary>
internal sealed class DatabaseFile : IDisposable
{
    private readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("analytics-store-");

    /// <summary>In a directory that does not exist yet.</summary>
    public string Path => System.IO.Path.Combine(directory.FullName, "data", "checkpoints.db");

    /// <summary>
    /// What a machine that lost its power at this moment would find: the file and its log, without the shared memory.
    /// </summary>
    public string CopyAsAfterPowerLoss()
    {
        var copy = System.IO.Path.Combine(Directory.CreateDirectory(System.IO.Path.Combine(directory.FullName, Guid.NewGuid().ToString("n"))).FullName, "copy.db");
        File.Copy(Path, copy);
        if (File.Exists(Path + "-wal")) File.Copy(Path + "-wal", copy + "-wal");
        return copy;
    }

    /// <summary>A backup as an operator makes it of a file in use.</summary>
    public string Backup()
    {
        var copy = System.IO.Path.Combine(directory.FullName, $"{Guid.NewGuid():n}.db");
        using var session = SqliteSession.Open(Path, new SqliteStoreOptions(), readOnly: false);
        session.Run($"VACUUM INTO '{copy}'");
        return copy;
    }

    /// <summary>Puts a copy in the place of the file, which nobody may have open; the log of the old one goes with it.</summary>
    public void Restore(string copy)
    {
        foreach (var ending in (string[])["", "-wal", "-shm"])
        {
            File.Delete(Path + ending);
            if (File.Exists(copy + ending)) File.Copy(copy + ending, Path + ending);
        }
    }

    public void Dispose() => directory.Delete(recursive: true);
}
