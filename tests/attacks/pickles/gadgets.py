"""Functions that a pickle can do harm with, as the scanners fickling, picklescan and modelscan list them, and more.

gradflow knows no such list: what a file may name is on a list of its own. These only put that to the test. Each is a
module, a name, and what it is to be called with.
"""

from __future__ import annotations

import pickle
from pathlib import Path

from tests.attacks.archives import saved
from tests.attacks.opcodes import EMPTY_DICT, TRUE, listed, mapping, named, number, raw, text


class _Touching:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def arguments(kind: str, canary: Path) -> tuple[bytes, ...]:
    """What to call a gadget of this kind with, so that it makes the canary where it can."""
    code = f"open({str(canary)!r}, 'w').write('ran')"
    if kind in ("module", "script", "saved"):
        (canary.parent / "planted.py").write_text(code + "\n", encoding="utf-8")
        (canary.parent / "planted.bin").write_bytes(saved(_Touching(canary)))
    return {
        "none": (),
        "path": (text(canary),),
        "path and data": (text(canary), text("ran")),
        "open": (text(canary), text("w")),
        "copy": (text("/proc/self/status"), text(canary)),
        "url": (text("file:///proc/self/status"), text(canary)),
        "shell": (text(f"touch {canary}"),),
        "text and shell": (text("ran"), text(f"touch {canary}")),
        "argv": (listed(text("touch"), text(canary)),),
        "code": (text(code),),
        "code in a space": (text(code), EMPTY_DICT),
        "code in two spaces": (text(code), EMPTY_DICT, EMPTY_DICT),
        "code as an option": (text("-c"), text(code)),
        "compiled": (text(code), text("x"), text("exec")),
        "module": (text("planted"),),
        "script": (text(canary.parent / "planted.py"),),
        "saved": (text(canary.parent / "planted.bin"),),
        "pickled": (raw(pickle.dumps(_Touching(canary))),),
        "torch pickled": (raw(saved(_Touching(canary))),),
        "decoder": (text("pkl"), raw(pickle.dumps(_Touching(canary)))),
        "attribute": (named("torch.nn.functional", "relu"), text("__globals__")),
        "name": (text("os.mkdir"),),
        "object name": (text("os:mkdir"),),
        "method": (text("mkdir"), text(canary)),
        "called": (named("os", "mkdir"), listed(text(canary))),
        "called later": (named("os", "mkdir"), text(canary)),
        "class": (text("x"), listed(text("a"))),
        "number": (number(10**9),),
        "body": (mapping([(text("_code"), text(f"def forward(self, x={code}): pass"))]), text(code)),
        "flag": (text(canary), TRUE),
    }[kind]


GADGETS = """
    __builtin__ eval code | __builtin__ execfile script | __builtin__ apply called | __builtin__ file open
    builtins eval code | builtins exec code | builtins compile compiled | builtins open open
    builtins __import__ module | builtins getattr attribute | builtins map called | builtins filter called
    builtins breakpoint none | builtins globals none | builtins vars none | builtins type class
    builtins input none | builtins memoryview number | builtins bytes number | builtins list number
    builtins str number | builtins print code | builtins delattr attribute | os mkdir path | os system shell
    os popen shell | os makedirs path | os execvp shell | os remove path | posix mkdir path | posix system shell
    nt system shell | posixpath os.mkdir path | ntpath os.mkdir path | subprocess call argv | subprocess Popen argv
    subprocess check_output argv | subprocess getoutput shell | commands getoutput shell
    _posixsubprocess fork_exec argv | pty spawn argv | asyncio run code
    asyncio.subprocess create_subprocess_shell shell | multiprocessing.util spawnv_passfds argv
    shutil copyfile copy | shutil rmtree path | shutil move copy | pathlib Path.write_text path-and-data
    pathlib Path.touch path | pathlib Path.mkdir path | io open open | io FileIO open | _io FileIO open
    _io open open | codecs open open | tempfile NamedTemporaryFile none | tempfile mkdtemp none
    logging FileHandler path | logging.config fileConfig path | sqlite3 connect path | shelve open path
    dbm.dumb open open | zipfile ZipFile open | tarfile open open | gzip open open | bz2 open open | lzma open open
    fileinput input path | mmap mmap number | distutils.file_util write_file path-and-data
    compileall compile_dir path | py_compile compile script | linecache getlines script | glob glob path
    netrc netrc path | runpy run_path script | runpy run_module module | runpy _run_code code-in-a-space
    importlib import_module module | importlib._bootstrap _gcd_import module | importlib.util find_spec module
    pkgutil resolve_name object-name | pydoc locate module | pydoc pipepager text-and-shell
    pydoc safeimport module | zipimport zipimporter path | site addsitedir path | code interact none
    code InteractiveInterpreter.runcode code | codeop compile_command code | cProfile run code | profile run code
    pdb run code | bdb Bdb.run code | trace Trace.run code | timeit timeit code | timeit main argv
    doctest debug_script code | unittest.mock _importer name | ensurepip _run_pip argv | venv create path
    pip main argv | pip._internal main argv | imaplib IMAP4_stream shell | webbrowser open url
    urllib.request urlretrieve url | http.client HTTPSConnection name | requests.api get url
    aiohttp.client request url | ssl get_server_certificate name | socket create_connection name | smtplib SMTP name
    ftplib FTP name | xmlrpc.client ServerProxy url | uuid _get_command_stdout shell
    _osx_support _read_output shell | _aix_support _read_cmd_output shell | _pyrepl.pager pipe_pager text-and-shell
    platform popen shell | test.support.script_helper assert_python_ok code-as-an-option
    idlelib.calltip get_entity code | idlelib.run Executive.runcode code
    idlelib.pyshell ModifiedInterpreter.runcommand code | idlelib.autocomplete AutoComplete.get_entity code
    idlelib.debugobj ObjectTreeItem.SetText code | lib2to3.pgen2.grammar Grammar.loads pickled
    lib2to3.pgen2.pgen ParserGenerator.make_label code | pickle loads pickled | _pickle loads pickled
    pickle Unpickler path | marshal loads pickled | dill loads pickled | cloudpickle.cloudpickle _make_function code
    cloudpickle.cloudpickle subimport module | joblib load saved | pandas read_pickle saved
    types FunctionType code | types CodeType code | types ModuleType module | types new_class class
    types MethodType called | functools reduce called | functools partialmethod called | itertools starmap called
    operator attrgetter name | operator methodcaller method | operator itemgetter name | operator call called-later
    _operator attrgetter name | _operator methodcaller method | copyreg _reconstructor attribute
    copyreg __newobj__ called | copyreg add_extension method | copyreg pickle called | copy copy called
    inspect getattr_static attribute | collections namedtuple class | typing NamedTuple class
    typing get_type_hints attribute | typing ForwardRef code | dataclasses make_dataclass class | enum Enum class
    string Formatter.vformat code | weakref finalize called-later | atexit register called-later
    signal signal called-later | threading Thread called | threading Timer called | _thread start_new_thread called
    concurrent.futures ThreadPoolExecutor.submit called | contextlib ExitStack.callback called
    warnings _setoption name | sys setrecursionlimit number | sys settrace called | sys exit number
    os _exit number | gc collect none | ctypes CDLL path | ctypes.util find_library name | cffi FFI none
    faulthandler _sigsegv none | ast literal_eval code | numpy load saved | numpy save path-and-data
    numpy memmap path | numpy fromfile path | numpy frompyfunc called | numpy vectorize called
    numpy savetxt path-and-data | numpy.testing._private.utils runstring code-in-a-space
    numpy.testing rundocs script | numpy.f2py.crackfortran getlincoef code-in-a-space | numpy.f2py compile code
    numpy.ctypeslib load_library path | numpy.core.multiarray fromfile path | numpy._core.multiarray fromfile path
    numpy.core.multiarray add_docstring called | numpy.core.umath add path | numpy.core _ufunc_reconstruct method
    numpy.lib.npyio DataSource path | numpy.lib.format open_memmap open | torch load saved
    torch save path-and-data | torch.serialization load saved | torch.storage _load_from_bytes torch-pickled
    torch.hub load module | torch.hub load_state_dict_from_url url | torch.hub _load_local module
    torch.jit load saved | torch.jit._serialization load saved
    torch.jit.unsupported_tensor_ops execWrapper code-in-two-spaces | torch.package PackageImporter saved
    torch.export load saved | torch.from_file path | torch.utils.collect_env run shell
    torch.utils.bottleneck.__main__ run_cprofile code | torch.utils._config_module ConfigModule.load_config pickled
    torch.utils.data.datapipes.utils.decoder basichandlers decoder | torch.utils.cpp_extension load_inline code
    torch.utils.cpp_extension load script | torch._inductor.codecache compile_file argv
    torch._inductor.codecache PyCodeCache.load code | torch._dynamo.guards GuardBuilder.get code
    torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression code
    torch.fx.graph_module reduce_graph_module body | torch.fx.graph_module _forward_from_src code-in-a-space
    torch.fx.graph_module _deserialize_graph_module called | torch.fx._lazy_graph_module _make_graph_module called
    torch._utils _import_dotted_name name | torch._utils _rebuild_wrapper_subclass called
    torch._utils _rebuild_device_tensor_from_numpy called | torch._utils _rebuild_qtensor called
    torch._utils _rebuild_nested_tensor called | torch.ops.load_library path | torch.classes load_library path
    torch._C _jit_pass_inline code | torch._C.PyTorchFileWriter write path | torch.multiprocessing spawn called
    torch.distributed.elastic.multiprocessing start_processes argv
    torch.distributed.rpc.internal _run_function pickled | torch.nn.modules.module torch.os.mkdir path
    torch.nn.functional importlib.import_module module | torch.nn.modules.linear torch.os.mkdir path
    torch.nn.init torch.os.mkdir path | torch.nn.parameter torch.os.mkdir path
    torch.nn.modules.linear Linear.forward attribute | torch.nn.modules.module Module.__setattr__ attribute
    torch.nn.modules.lazy itertools.starmap called | torch.nn.utils.parametrize copy.deepcopy called
    torch.nn.utils.fusion copy.copy called | torch.nn.parallel.replicate torch.os.mkdir path
    torch.nn.parallel.data_parallel torch.os.mkdir path | torch.nn.modules.transformer copy.deepcopy called
    torch.nn.qat.modules os.mkdir path | torch.nn.cpp OrderedDictWrapper called
    torch.nn.modules.container operator.attrgetter name | torch.nn.modules.container Sequential.append called
""".replace("\n", "|").split("|")  # fmt: skip

OF_LIBRARIES = """
    torchvision.io write_file path-and-data | torchvision.io.image write_png path
    torchvision.utils save_image path | torchvision.datasets.utils download_url url
    torchvision.datasets.utils extract_archive copy | torchvision.datasets.folder os.mkdir path
    torchvision.extension os.mkdir path | torchvision._utils enum.Enum class
    torchvision.models._api importlib.import_module module | torchvision.models._api sys.exit number
    torchvision.models._utils torch.os.mkdir path | torchvision.models.feature_extraction re.sub called
    torchvision.models.feature_extraction DualGraphModule body
    torchvision.models.detection.transform torch.os.mkdir path
    torchvision.transforms.functional InterpolationMode code | torchvision.transforms.transforms Lambda called-later
    torchvision.ops.misc warnings.warn code | torchvision.prototype load saved
    timm.models._helpers load_checkpoint saved | timm.models._helpers os.mkdir path
    timm.models._hub load_state_dict_from_hf name | timm.models._hub os.makedirs path
    timm.models._builder os.mkdir path | timm.models._registry sys.modules.get name
    timm.models._features_fx FeatureGraphNet body | timm.models._features_fx GraphExtractNet body
    timm.layers.config os.mkdir path | timm.layers.format Format code | timm.layers.helpers itertools.starmap called
    timm.utils.summary os.mkdir path | timm.utils.checkpoint_saver CheckpointSaver path
    timm.utils.model_ema torch.os.mkdir path | timm.data.dataset os.mkdir path
    timm.data.readers.reader_factory os.mkdir path | PIL.Image open path | PIL.ImageShow IPythonViewer shell
    jinja2.sandbox SandboxedEnvironment code | networkx read_gpickle saved | safetensors.torch load_file saved
""".replace("\n", "|").split("|")  # fmt: skip


def read(lines: list[str]) -> list[tuple[str, str, str]]:
    entries = [line.split() for line in lines if line.strip()]
    found = []
    for entry in entries:
        *place, kind = entry
        # `torch.from_file path` is a module and a name with the dot between them
        module, name = place if len(place) == 2 else place[0].rsplit(".", 1)
        found.append((module, name, kind.replace("-", " ")))
    return found
