namespace Analytics.Actors.Tests;

/// <summary>Finds the published data and the reference vectors, which live beside the repository and may be absent.</summary>
public static class SharedData
{
    /// <summary>The directory; null where it is absent.</summary>
    public static string? Root { get; } = Find();

    /// <summary>A path below <see cref="Root"/>; only for tests marked with <see cref="SharedDataFactAttribute"/>.</summary>
    public static string Path(params string[] parts) =>
        System.IO.Path.Combine([Root ?? throw new InvalidOperationException("../shared is absent"), .. parts]);

    private static string? Find()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (!File.Exists(System.IO.Path.Combine(directory.FullName, "Analytics.Actors.sln"))) continue;
            var shared = System.IO.Path.Combine(directory.FullName, "..", "shared");
            return Directory.Exists(shared) ? System.IO.Path.GetFullPath(shared) : null;
        }

        return null;
    }
}

/// <summary>A fact about published data: skipped, with a notice, where the data are absent.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute()
    {
        if (SharedData.Root is null) Skip = "needs the published data in ../shared beside the repository, which is absent";
    }
}
