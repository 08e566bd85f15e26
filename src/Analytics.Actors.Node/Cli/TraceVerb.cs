using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Node.Modules;
using Analytics.Actors.Node.Tracing;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verb <c>trace</c>.</summary>
internal static class TraceVerb
{
    public static int Run(string file, PipelineConfiguration pipeline, TextReader standardInput, TextWriter output)
    {
        var catalog = ModuleCatalog.WithBuiltIns(pipeline.CodeTables);
        var modules = catalog.Names.ToDictionary(name => name, name => catalog.Find(name)!, StringComparer.Ordinal);
        if (file != "-" && !File.Exists(file)) throw new BadArgumentsException($"--records {file}: there is no such file");
        using var reader = file == "-" ? null : new StreamReader(file);
        // One write of what was gathered, instead of a flush per line.
        using var buffered = new StringWriter();
        try
        {
            TraceFile.Run(pipeline, modules, file, reader ?? standardInput, buffered);
            return Verbs.Done;
        }
        catch (TraceInputException wrong)
        {
            throw new BadArgumentsException(wrong.Message);
        }
        finally
        {
            output.Write(buffered.ToString());
            output.Flush();
        }
    }
}
