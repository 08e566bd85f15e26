using System.Reflection;
using System.Runtime.Loader;
using Analytics.Actors.Core.Modules;

namespace Analytics.Actors.Node.Modules;

/// <summary>
/// The modules that run in this process, by name. A user's own module is an <see cref="IModule"/>: add it with
/// <see cref="Add"/>, or put its assembly where the node finds it and add what <see cref="LoadFrom"/> returns. It runs once
/// the pipeline declares a module of its name.
/// </summary>
public sealed class ModuleCatalog
{
    private readonly Dictionary<string, IModule> modules = new(StringComparer.Ordinal);
    private readonly HashSet<string> builtIn = new(StringComparer.Ordinal);

    /// <summary>A catalog of the built-in modules.</summary>
    /// <param name="codeTables">The pipeline's code tables; a table that is absent means <see cref="AssumedCodes"/>.</param>
    public static ModuleCatalog WithBuiltIns(IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>>? codeTables = null)
    {
        var catalog = new ModuleCatalog();
        IModule[] own =
        [
            new LoadPrediction(),
            new EvaluationModel(codeTables?.GetValueOrDefault(AssumedCodes.TariffKindsTable), codeTables?.GetValueOrDefault(AssumedCodes.WorkStatesTable)),
            new StationGuidance(),
        ];
        foreach (var module in own)
        {
            catalog.modules.Add(module.Name, module);
            catalog.builtIn.Add(module.Name);
        }

        return catalog;
    }

    /// <summary>All names, sorted.</summary>
    public IReadOnlyList<string> Names => [.. modules.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Null where there is no module of that name.</summary>
    public IModule? Find(string name) => modules.GetValueOrDefault(name);

    /// <summary>
    /// Adds a module. It takes the place of a built-in one of its name; two added ones of one name are a mistake that
    /// would depend on order, and are refused with <see cref="ArgumentException"/>.
    /// </summary>
    public ModuleCatalog Add(IModule module)
    {
        ArgumentNullException.ThrowIfNull(module);
        if (string.IsNullOrWhiteSpace(module.Name))
            throw new ArgumentException($"{module.GetType().FullName} has no name; a module's name is the one under which the pipeline declares it", nameof(module));
        if (modules.ContainsKey(module.Name) && !builtIn.Remove(module.Name))
            throw new ArgumentException($"two modules are named \"{module.Name}\": {modules[module.Name].GetType().FullName} and {module.GetType().FullName}", nameof(module));
        modules[module.Name] = module;
        return this;
    }

    /// <summary>
    /// Makes one instance of every public module type with a parameterless constructor in an assembly, in order of their
    /// type names. The assembly may bring its own dependencies beside it; it shares this process's Analytics.Actors.Core.
    /// </summary>
    /// <exception cref="ModuleLoadException">The file is no assembly, holds no such type, or a constructor failed.</exception>
    public static IReadOnlyList<IModule> LoadFrom(string assemblyPath)
    {
        var path = Path.GetFullPath(assemblyPath);
        try
        {
            var assembly = new ModuleLoadContext(path).LoadFromAssemblyPath(path);
            var types = assembly.GetExportedTypes()
                .Where(type => type is { IsAbstract: false, ContainsGenericParameters: false }
                    && typeof(IModule).IsAssignableFrom(type)
                    && type.GetConstructor(Type.EmptyTypes) is not null)
                .OrderBy(type => type.FullName, StringComparer.Ordinal)
                .ToList();
            if (types.Count == 0)
                throw new ModuleLoadException($"{path}: holds no public type that implements {typeof(IModule).FullName} and has a parameterless constructor");
            return [.. types.Select(type => (IModule)Activator.CreateInstance(type)!)];
        }
        catch (Exception problem) when (problem is IOException or BadImageFormatException or UnauthorizedAccessException
            or TypeLoadException or ReflectionTypeLoadException or TargetInvocationException or ArgumentException or InvalidOperationException)
        {
            var cause = problem is TargetInvocationException { InnerException: { } inner } ? inner : problem;
            throw new ModuleLoadException($"{path}: cannot be loaded as modules: {cause.Message}", cause);
        }
    }

    /// <summary>
    /// What this process has already, the module gets from it: only then is its IModule ours. All else comes from beside
    /// its own file, so that two modules may need different versions of a library.
    /// </summary>
    private sealed class ModuleLoadContext(string path) : AssemblyLoadContext(Path.GetFileNameWithoutExtension(path))
    {
        private readonly AssemblyDependencyResolver resolver = new(path);

        protected override Assembly? Load(AssemblyName name) =>
            name.Name == typeof(IModule).Assembly.GetName().Name || resolver.ResolveAssemblyToPath(name) is not { } found
                ? null
                : LoadFromAssemblyPath(found);

        protected override nint LoadUnmanagedDll(string name) =>
            resolver.ResolveUnmanagedDllToPath(name) is { } found ? LoadUnmanagedDllFromPath(found) : 0;
    }
}

/// <summary>A file of modules cannot be used; the message names it and the reason.</summary>
public sealed class ModuleLoadException(string message, Exception? inner = null) : Exception(message, inner);
