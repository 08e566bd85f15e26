namespace Analytics.Actors.Tests;

/// <summary>Files that stand beside the repository (reference vectors, real data); absent in a plain clone.</summary>
internal static class SharedData
{
    /// <summary>The folder <c>shared</c> beside the repository; null where there is none.</summary>
    public static string? Folder { get; } = Find();

    public static string PathOf(params string[] names) => Path.Combine([Folder!, .. names]);

    private static string? Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(Path.Combine(folder.FullName, "Analytics.Actors.sln"))) continue;
            var shared = Path.Combine(folder.FullName, "..", "shared");
            return Directory.Exists(shared) ? Path.GetFullPath(shared) : null;
        }

        return null;
    }
}

/// <summary>A fact that needs shared data, and is skipped where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute()
    {
        if (SharedData.Folder is null) Skip = "There is no folder 'shared' beside the repository.";
    }
}
